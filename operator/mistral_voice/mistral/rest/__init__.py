"""Mistral's REST API as probes and the command line need it: who am I, which models, which voices. Nothing here costs tokens."""

from mistral_voice.mistral.rest.client import MistralRest, open_http
from mistral_voice.mistral.rest.models import Capabilities, Model, Voice

__all__ = ["Capabilities", "MistralRest", "Model", "Voice", "open_http"]
