"""first_queue.py MODULE: imports it, and uses a queue once."""

import importlib
import sys

module = importlib.import_module(sys.argv[1])
queue = module.Queue()
queue.put(0)
queue.get()
