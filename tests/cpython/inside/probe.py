"""Prints, as JSON, what class multiprocessing.Queue makes: here, in children and in a script."""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Any

from test.support import script_helper

SCRIPT = "from tests.cpython.inside import probe; print(probe.queue())"


def queue() -> str:
    cls = type(multiprocessing.Queue())
    return f"{cls.__module__}.{cls.__qualname__}"


def tell(connection: Any) -> None:
    connection.send(queue())


def child(method: str) -> str:
    ctx = multiprocessing.get_context(method)
    receiver, sender = ctx.Pipe(duplex=False)
    process = ctx.Process(target=tell, args=(sender,))
    process.start()
    sender.close()
    answer: str = receiver.recv()
    process.join()
    return answer


def main() -> None:
    found = {"the process itself": queue()}
    for method in sys.argv[1:]:
        found[f"a child by {method}"] = child(method)
    # As the tests start their scripts: `python -I`.
    script = script_helper.assert_python_ok("-c", SCRIPT)
    found["a script of script_helper"] = script.out.decode().strip()
    print(json.dumps(found))


if __name__ == "__main__":
    # Under a name for which the import of multiprocessing may be substituted.
    from tests.cpython.inside import probe

    probe.main()
