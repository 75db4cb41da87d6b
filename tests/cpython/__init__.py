"""CPython's own tests of `multiprocessing`, over the standard library and over this package.

`make cpython-suite` runs them for each CPython of the machine, from the files that
the interpreter ships. What `inside` holds runs in the interpreter under test; the
other modules start it, watch it and compare.
"""
