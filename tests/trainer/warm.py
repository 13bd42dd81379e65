"""A warm process: imports one side of the trainer and forks a child for each order that a line of its input tells.

Answers each line twice: the child's process id, then its exit status.
"""

import json
import os
import sys
from importlib import import_module


def serve(module: str) -> None:
    main = import_module(module).main
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.environ.update(json.loads(line))
            status = 1
            try:
                status = main()
            finally:
                os._exit(status)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
