from multiprocessing.dummy.connection import *  # noqa: F403
