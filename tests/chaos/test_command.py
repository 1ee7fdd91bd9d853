"""What `python -m chaos` takes, and what it refuses because nothing would be proved."""

import pytest

from chaos.__main__ import parse


def test_some_faults_so_many_times() -> None:
    plan = parse(["--only", "FLUSH", "--times", "3", "--seed", "7"])
    assert (plan.seed, dict(plan.counts)) == (7, {"FLUSHALL": 3})


def test_a_fault_that_is_named_befalls_though_the_short_play_leaves_it_out() -> None:
    plan = parse(["--quick", "--only", "postgres forgets"])
    assert dict(plan.counts) == {"Postgres forgets connections": 1}


def test_an_unknown_fault_is_refused_and_the_known_ones_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--only", "typo"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "no fault's name has the words 'typo'" in said
    assert "\n  SIGKILL a worker\n" in said


@pytest.mark.parametrize("option", ["--times", "--rate", "--pause"])
def test_a_play_of_nothing_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([option, "0"])
    assert ended.value.code == 2
    assert f"argument {option}: 0 would prove nothing" in capsys.readouterr().err
