"""How far a running operator has come."""

from tests.support.operator import OperatorProcess

_START = "mistral_voice_operator_reconcile_total{"


async def visits(operator: OperatorProcess, *, at_least: float = 0) -> float:
    """Return how many visits ended well so far, 0 while they are less than `at_least`. Fails if the operator has ended."""
    assert operator.process.returncode is None, f"the operator ended:\n{operator.log[-4000:]}"
    _, text = await operator.get("/metrics")
    counted = sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(_START) and 'result="error"' not in line)
    return counted if counted >= at_least else 0
