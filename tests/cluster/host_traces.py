"""What a cluster of podman changes on the machine outside its own folders, so that the last cluster's end can undo it.

podman, runc and the CNI plugins remove what belongs to a container, yet leave what they set up once: an empty cgroup, chains without
rules, a mount, folders, and forwarding switched on. What was there before the first cluster stays; the rest goes.
"""

import os
import shlex
import subprocess
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
IPV6_FORWARDING = Path("/proc/sys/net/ipv6/conf/all/forwarding")
NETWORK_NAMESPACES = Path("/run/netns")
LIB_MODULES = Path("/lib/modules")
EMPTY_FOLDERS = (LIB_MODULES, Path("/run/runc"), Path("/var/lib/cni/networks"), Path("/var/lib/cni/results"), Path("/var/lib/cni"))
SHARED_CHAINS = ("CNI-ADMIN", "CNI-FORWARD", "CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK")
FIREWALL_TOOLS = ("iptables", "ip6tables")


@dataclass(frozen=True)
class Trace:
    """One change.

    Attributes:
        name: says which one.
        is_present: whether it is there now.
        remove: undoes it, unless somebody else uses it by now.
    """

    name: str
    is_present: Callable[[], bool]
    remove: Callable[[], None]


def traces() -> list[Trace]:
    """All changes, in the order in which they are undone."""
    return [
        Trace("network namespaces' mount", _network_namespaces_are_mounted, _remove_network_namespaces),
        Trace("network namespaces' folder", NETWORK_NAMESPACES.is_dir, lambda: remove_empty_folder(NETWORK_NAMESPACES)),
        *(_folder_trace(folder) for folder in EMPTY_FOLDERS),
        *(_folder_trace(folder) for folder in _cgroups()),
        *(_firewall_trace(tool, table) for tool in FIREWALL_TOOLS for table in ("filter", "nat")),
        *(_forwarding_trace(setting) for setting in (IP_FORWARD, IPV6_FORWARDING)),
    ]


def present_traces() -> list[str]:
    """The names of the changes that are there now."""
    return [trace.name for trace in traces() if trace.is_present()]


def remove_traces(before: Collection[str]) -> None:
    """Undo every change that is there now and was not there `before`."""
    for trace in traces():
        if trace.name not in before and trace.is_present():
            trace.remove()


def make_lib_modules() -> None:
    """kind mounts `/lib/modules` into its nodes; a machine without loadable modules has none."""
    LIB_MODULES.mkdir(exist_ok=True)


def remove_empty_folder(folder: Path) -> None:
    """Remove a folder below which there are only empty folders; of one in use the used part stays."""
    for inner, _, _ in os.walk(folder, topdown=False):
        try:
            Path(inner).rmdir()
        except OSError:
            continue


def leftover_rules(rules: Sequence[str]) -> list[list[str]] | None:
    """How to take away the CNI plugins' chains once no container uses them.

    Args:
        rules: what `iptables -S` prints for one table.

    Returns:
        Arguments for iptables, in order: rules that jump to the chains, then the chains; None if a chain still serves a container.
    """
    chains = [rule.split()[1] for rule in rules if rule.startswith("-N CNI-")]
    of_containers = [
        rule for rule in rules if rule.startswith("-A ") and ("--dport" in rule or " -s " in rule or " -d " in rule) and "CNI-" in rule
    ]
    if of_containers or any(chain not in SHARED_CHAINS for chain in chains):
        return None
    jumps = [rule for rule in rules if rule.startswith("-A ") and not rule.startswith("-A CNI-") and "-j CNI-" in rule]
    commands = [["-D", *shlex.split(rule)[1:]] for rule in jumps]
    commands += [["-F", chain] for chain in chains]
    return commands + [["-X", chain] for chain in chains]


def _folder_trace(folder: Path) -> Trace:
    return Trace(str(folder), folder.is_dir, lambda: remove_empty_folder(folder))


def _cgroups() -> list[Path]:
    hierarchies = [Path("/sys/fs/cgroup"), *sorted(folder for folder in Path("/sys/fs/cgroup").iterdir() if folder.is_dir())]
    return [hierarchy / "libpod_parent" for hierarchy in hierarchies]


def _network_namespaces_are_mounted() -> bool:
    # A bind mount within one file system: os.path.ismount would not see it.
    return any(line.split()[4] == str(NETWORK_NAMESPACES) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _remove_network_namespaces() -> None:
    if not any(NETWORK_NAMESPACES.iterdir()):
        subprocess.run(["umount", str(NETWORK_NAMESPACES)], check=False, capture_output=True)


def _firewall_trace(tool: str, table: str) -> Trace:
    def remove() -> None:
        for command in leftover_rules(_rules(tool, table)) or []:
            subprocess.run([tool, "-w", "-t", table, *command], check=False, capture_output=True)

    return Trace(f"{tool} {table} chains", lambda: any(rule.startswith("-N CNI-") for rule in _rules(tool, table)), remove)


def _rules(tool: str, table: str) -> list[str]:
    result = subprocess.run([tool, "-w", "-t", table, "-S"], check=False, capture_output=True, text=True)
    return result.stdout.splitlines()


def _forwarding_trace(setting: Path) -> Trace:
    def remove() -> None:
        if not any(Path("/sys/class/net").glob("*/bridge")):
            setting.write_text("0")

    return Trace(str(setting), lambda: setting.exists() and setting.read_text().strip() == "1", remove)


def has_mount_rights() -> bool:
    """Whether this process may mount file systems, which podman's nodes need (CAP_SYS_ADMIN)."""
    effective = next((line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:")), "0")
    return os.geteuid() == 0 and bool(int(effective, 16) & (1 << 21))
