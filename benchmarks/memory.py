"""Does a trial process grow? Its own pages after trial 2 against those after trial 20.

Trials of one arm and shape run one after the other, each in a thread of one process, as Ray Tune
runs them in a reused actor; each is trained, then scored on test with all perturbations. Compared
is `Anonymous` of /proc/self/smaps_rollup after the second and after the last trial.
Aim: they differ by less than 5 %.
"""

import sys
import threading

import _common
from _jobs import arm_job, as_final, study_folder

NUM_TRIALS, FIRST = 20, 2


def anonymous_mib() -> float:
    """Return the process's own pages in MiB."""
    with open("/proc/self/smaps_rollup") as lines:
        kib = next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
    return kib / 1024


def main() -> None:
    """Run the trials and write the result."""
    parser = _common.arguments(__doc__)
    parser.add_argument("--arm", default="slow", help="arm of fusion_study")
    options = parser.parse_args()
    num_trials = 5 if options.quick else NUM_TRIALS
    with _common.scratch() as home:
        import ray

        overrides = ("data.preset=smoke", "budget.epochs=2", "train.collapse_after=0")
        ray.init(
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            num_cpus=1,
            _temp_dir=str(home / "r"),
        )
        spec, shared = study_folder(home, home / "studies" / "memory", overrides)
        ray.shutdown()
        from vidclass.sweep.job import run_job

        rows = []
        for number in range(1, num_trials + 1):
            ended = []
            job = as_final(arm_job(spec, shared, options.arm, "-"), f"t{number:04d}")
            thread = threading.Thread(
                target=run_job,
                args=(job, home, lambda message, payload, ended=ended: ended.append(message)),
            )
            thread.start()
            thread.join()
            if ended[-1:] != ["ended"] or "scored" not in ended:
                sys.exit(f"trial {number} did not end: {ended}")
            rows.append({"trial": number, "anonymous_mib": round(anonymous_mib(), 2)})
    _common.print_table(rows)
    first, last = (rows[n - 1]["anonymous_mib"] for n in (FIRST, num_trials))
    growth = last / first - 1
    what = f"growth of Anonymous from trial {FIRST} to trial {num_trials}"
    _common.finish(
        "memory",
        quick=options.quick,
        aims=[_common.against_aim(what, 100 * abs(growth), 5.0, at_most=True, unit="%")],
        arm=options.arm,
        first_mib=first,
        last_mib=last,
        ratio=last / first,
        trials=rows,
    )


if __name__ == "__main__":
    main()
