"""Helm for all chart tests of a run."""

import os

import pytest

from tests.chart.rendering import Helm, find_helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The Helm that the test clusters are made with."""
    return find_helm(dict(os.environ))
