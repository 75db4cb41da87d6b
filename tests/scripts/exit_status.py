import sys

how = sys.argv[1]
if how == "code":
    sys.exit(3)
if how == "message":
    sys.exit("a message")
if how == "interrupt":
    raise KeyboardInterrupt
if how == "hook":
    sys.excepthook = lambda kind, value, traceback: print("hook:", value, traceback.tb_lineno)
if how in ("error", "hook"):
    raise ValueError("an error")
print(__name__, __file__, sys.argv, sys.path[0], sys.modules["__main__"].how)
