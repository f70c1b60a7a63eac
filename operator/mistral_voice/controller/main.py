"""`mistral-voice operator`: settings, logs, and the event loop."""

import asyncio
import gc
import logging
import sys
from collections.abc import Sequence

import uvloop

from mistral_voice.controller.operator import operate
from mistral_voice.controller.settings import SettingsError, parse
from mistral_voice.kube.access import NoAccess
from mistral_voice.kube.errors import LeadershipLost
from mistral_voice.runtime import logs
from mistral_voice.runtime.redaction import Redactor

_log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Run the operator until SIGTERM. Return 0 after an orderly stop, 1 when leadership was lost, 2 when it can't start."""
    try:
        settings = parse(argv)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    redactor = Redactor()
    logs.configure("operator", settings.file.log_level, redactor)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # What the imports made stays for good, and records live long: looked through as often as usual they would cost a tenth of a start.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    return_code = 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(operate(settings, redactor))
        except* NoAccess as errors:
            _log.error("%s", errors.exceptions[0])
            return_code = 2
        except* LeadershipLost as errors:
            _log.error("Leadership is lost; the process ends so that no two replicas write: %s", errors.exceptions[0])
            return_code = 1
    return return_code
