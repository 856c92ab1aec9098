"""Three doors: clients come in at `openai/`, workers at `extension/`, operators at `admin/`.

The doors share the guard, the error table and the lean routes in this folder, and never each other.
"""
