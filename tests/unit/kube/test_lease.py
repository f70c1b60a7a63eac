import pytest

from mistral_voice.kube.lease import LeaseTiming


@pytest.mark.parametrize(("lease", "deadline", "retry"), [(15, 15, 2), (15, 10, 10), (15, 10, 0), (10, 15, 2)])
def test_timings_that_could_let_two_lead_are_refused(lease: int, deadline: float, retry: float) -> None:
    with pytest.raises(ValueError, match="is not safe: the retry period must be shorter than the renew deadline"):
        LeaseTiming(lease, deadline, retry)


def test_the_default_timing_is_client_gos() -> None:
    assert LeaseTiming() == LeaseTiming(15, 10.0, 2.0)
