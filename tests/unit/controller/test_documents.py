"""What the documents say of conditions is what the code can say."""

from mistral_voice.controller.reasons import ConditionType, Reason
from tests.unit.controller.documented import DOCUMENT, documented_reasons


def test_every_condition_has_its_table() -> None:
    assert set(documented_reasons()) == {str(condition) for condition in ConditionType}


def test_every_reason_is_documented_and_no_other() -> None:
    tables = documented_reasons()
    named = {reason for name, table in tables.items() if name != ConditionType.READY for reasons in table.values() for reason in reasons}
    assert named | {"Ready"} == {str(reason) for reason in Reason}
    assert all(f"`{reason}`" in DOCUMENT.read_text() for reason in Reason)
