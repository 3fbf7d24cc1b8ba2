"""The engine in a process of its own: ``python -m labctl.engine_process``, told what to do over a private pipe.

Whoever starts it writes requests and orders to its standard input and reads events and answers from its standard
output, as frames (:mod:`labctl.engine_process.frames`) of the types in :mod:`labctl.engine_process.messages`.
"""
