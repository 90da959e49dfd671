import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vidclass import doctor

RUNNER = CliRunner()


def test_every_check_runs_here_and_none_fails(home: Path) -> None:
    checks = doctor.run_doctor()
    assert [check.name for check in checks] == list(doctor.CHECKS)
    assert [check for check in checks if check.status == "fail"] == []
    assert all(check.detail for check in checks)
    assert all(check.remedy for check in checks if check.status != "ok")


def test_the_command_ends_with_zero_and_tells_json(home: Path) -> None:
    result = RUNNER.invoke(doctor.app, ["--json"])
    assert result.exit_code == 0, result.output
    assert {"name", "status", "detail", "remedy"} == set(json.loads(result.stdout)[0])


def test_a_home_that_is_a_file_fails_with_a_remedy_and_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("VIDCLASS_HOME", str(file))
    assert doctor.check_home().status == "fail"
    result = RUNNER.invoke(doctor.app, [])
    assert result.exit_code == 1
    assert "VIDCLASS_HOME" in result.output


def test_no_ffmpeg_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor.check_ffmpeg()
    assert check.status == "warn" and check.remedy


def test_an_ffmpeg_in_the_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert doctor.check_ffmpeg() == doctor.Check("ffmpeg", "ok", str(program))


def test_a_check_that_raises_is_a_fail_and_the_rest_go_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> doctor.Check:
        raise OSError("no such codec")

    monkeypatch.setattr(doctor, "CHECKS", {"decode": broken, "home": doctor.check_home})
    decode, after = doctor.run_doctor()
    assert decode.status == "fail" and "no such codec" in decode.detail
    assert after.status in ("ok", "warn")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "VERSIONED", ("numpy", "no-such-package-here"))
    check = doctor.check_versions()
    assert check.status == "fail" and "pip install no-such-package-here" in check.remedy


def test_little_shared_memory_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MIN_SHARED_MEMORY_BYTES", 2**62)
    assert doctor.check_shared_memory(tmp_path).status == "warn"
    assert doctor.check_shared_memory(tmp_path / "absent").status == "ok"
