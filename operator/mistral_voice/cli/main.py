"""`mistral-voice <command>`: finds the command's package and hands the arguments over. Each is imported only when called."""

import importlib
import sys
from collections.abc import Sequence

_COMMANDS = {
    "operator": ("mistral_voice.controller.main", "watch MistralVoiceIntegrations and reconcile them"),
    "gateway": ("mistral_voice.gateway.main", "hold live voice sessions of one integration"),
    "broker": ("mistral_voice.broker.main", "managed mode's way to Mistral: adds the platform's key, holds leases, meters"),
    "control-plane": ("mistral_voice.controlplane.main", "managed mode's memory: leases, the ledger, states of keys"),
    "simulator": ("mistral_voice.simulator.main", "serve Mistral's API, simulated, scripted or live"),
    "talk": ("mistral_voice.cli.talk", "ask an integration a spoken question: WAV in, WAV out"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 called wrongly."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(_usage())
        return 0
    if arguments == ["--version"]:
        from importlib.metadata import version

        sys.stdout.write(version("mistral-voice-operator") + "\n")
        return 0
    if not arguments or arguments[0] not in _COMMANDS:
        given = f"There is no command {arguments[0]!r}.\n" if arguments else ""
        sys.stderr.write(given + _usage())
        return 2
    module, _ = _COMMANDS[arguments[0]]
    result: int = importlib.import_module(module).main(arguments[1:])
    return result


def _usage() -> str:
    commands = "\n".join(f"  {name:<14} {purpose}" for name, (_, purpose) in _COMMANDS.items())
    return f"usage: mistral-voice <command> [--help] …\n\n{commands}\n"


if __name__ == "__main__":
    sys.exit(main())
