"""Managed mode's way to Mistral: authenticates gateways, holds their leases, adds the platform's key, meters what passes."""
