"""What the documents say of conditions and issues is what the code can say."""

import re
from pathlib import Path

from mistral_voice.contract.vocabulary import ValidationCode
from mistral_voice.controller import check
from mistral_voice.controller.credential import TRIMMED
from mistral_voice.controller.health.result import WarningCode
from mistral_voice.controller.reasons import ConditionType, Reason
from tests.unit.controller.documented import DOCUMENT, documented_reasons


def test_every_condition_has_its_table() -> None:
    assert set(documented_reasons()) == {str(condition) for condition in ConditionType}


def test_every_reason_is_documented_and_no_other() -> None:
    tables = documented_reasons()
    named = {reason for name, table in tables.items() if name != ConditionType.READY for reasons in table.values() for reason in reasons}
    assert named | {"Ready"} == {str(reason) for reason in Reason}
    assert all(f"`{reason}`" in DOCUMENT.read_text() for reason in Reason)


def test_every_code_of_an_issue_that_is_no_reason_is_documented_and_no_other() -> None:
    sources = "".join(file.read_text() for file in Path(check.__file__).parent.glob("*.py"))
    told = {TRIMMED, *WarningCode, *re.findall(r"\b(?:grave|warning|info)\(\s*\"(\w+)\"", sources)}
    told |= {ValidationCode[name] for name in re.findall(r"\bValidationCode\.(\w+)\.value", sources)}
    table = DOCUMENT.read_text().partition("## Codes of issues")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {str(code) for code in told}
