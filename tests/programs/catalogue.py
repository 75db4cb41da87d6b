"""The programs."""

from __future__ import annotations

from .program import Program, Tests

METHODS = ("fork", "spawn", "forkserver")

PROGRAMS = (
    Program(
        "aiomultiprocess",
        ("aiomultiprocess==0.9.1",),
        Tests.PACKAGE,
        tuple(f"aiomultiprocess.tests.{name}" for name in ("core", "pool", "scheduler", "perf")),
    ),
    Program(
        "dask",
        ("dask==2026.8.0", "numpy"),
        Tests.PACKAGE,
        ("dask.tests.test_multiprocessing",),
    ),
    Program(
        "gymnasium",
        ("gymnasium==1.4.0",),
        Tests.EXAMPLE,
        # https://gymnasium.farama.org/v1.4.0/api/vector/async_vector_env/
        ("vector_env.py",),
    ),
    Program(
        "joblib",
        ("joblib==1.6.0", "numpy"),
        Tests.PACKAGE,
        tuple(
            f"joblib.test.test_{name}"
            for name in (
                "parallel",
                "memmapping",
                "config",
                "cloudpickle_wrapper",
                "module",
                "missing_multiprocessing",
                "memory",
                "store_backends",
            )
        ),
    ),
    Program(
        "loky",
        ("loky==3.7.0", "numpy", "psutil"),
        Tests.SDIST,
        tuple(
            f"tests/test_{name}.py"
            for name in (
                "loky_backend",
                "loky_module",
                "process_executor_loky",
                "process_executor_spawn",
                "process_executor_forkserver",
                "resource_tracker",
                "reusable_executor",
                "synchronize",
                "worker_timeout",
            )
        ),
        options=("--skip-high-memory",),
        excused={
            "*test_sync_object_handling": "expects that a connection is an anonymous pipe;"
            " ours is a socket and a memfd",
        },
    ),
    Program(
        "luigi",
        ("luigi==3.8.1", "mock", "psutil"),
        Tests.SDIST,
        tuple(
            f"test/worker_{name}test.py"
            for name in (
                "",
                "keep_alive_",
                "multiprocess_",
                "parallel_scheduling_",
                "task_process_",
            )
        ),
        excused={
            "*test_context_manager_with_multiprocessing": "asks for what the child does after"
            " it has put its result, without joining it",
        },
    ),
    Program(
        "mpire",
        ("mpire==2.10.2", "numpy"),
        Tests.EXAMPLE,
        # https://sybrenjansen.github.io/mpire/usage/index.html
        ("mpire_pool.py",),
    ),
    Program(
        "multiprocess",
        ("multiprocess==0.70.19",),
        Tests.PORTED,
        tuple(
            f"test_multiprocessing_{method}/test_{kind}.py"
            for method in METHODS
            for kind in ("processes", "misc", "manager", "threads")
        ),
        # Under pytest it waits for ever with the standard library, too.
        options=("-k", "not test_empty_authkey"),
        excused={
            "*::test_queue_feeder_donot_stop_onexc": "put() of what cannot be pickled raises",
            "*::test_resource_tracker_sigkill": "waits for a semaphore to be registered with"
            " the resource tracker; here the kernel frees it",
            "*_TestImportStar::test_import": "takes a module of Windows out of a list of the"
            " package's files",
            "*spawn*::test_mixed_startmethod": "a queue of the fork context reaches spawned"
            " processes",
            "*forkserver*TestIgnoreEINTR::test_ignore": "signals a process that it expects to be"
            " still inside send_bytes() of 16 MiB, which returns here without a reader",
        },
    ),
    Program(
        "multiprocessing-logging",
        ("multiprocessing-logging==0.4.0",),
        Tests.SDIST,
        ("tests",),
    ),
    Program(
        "pandarallel",
        ("pandarallel==1.6.5", "pandas<3", "numpy"),
        Tests.SDIST,
        ("tests",),
    ),
    Program(
        "pebble",
        ("pebble==5.2.3",),
        Tests.SDIST,
        tuple(
            f"test/test_{kind}_{method}.py"
            for kind in ("process_pool", "concurrent_process", "asynchronous_process")
            for method in METHODS
        ),
    ),
    Program(
        "torch",
        ("torch==2.15.0", "numpy"),
        Tests.EXAMPLE,
        # https://docs.pytorch.org/docs/stable/data.html
        # https://docs.pytorch.org/docs/stable/multiprocessing.html
        # https://docs.pytorch.org/docs/stable/notes/multiprocessing.html
        ("dataloader.py", "tensors.py"),
    ),
    Program(
        "tqdm",
        ("tqdm==4.70.1",),
        Tests.SDIST,
        tuple(f"tests/tests_{name}.py" for name in ("concurrent", "rlock", "synchronisation")),
    ),
    Program(
        "uvicorn",
        ("uvicorn[standard]==0.54.0", "anyio", "httpx2", "pytest-mock", "a2wsgi", "trustme"),
        Tests.SDIST,
        ("tests/supervisors", "tests/test_subprocess.py"),
    ),
)
