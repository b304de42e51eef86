"""Results between S3 and the archive, and back.

Every function may be repeated at any time, by anybody, also after a death at any line: what is to be done is read from
the record, and each step is a conditional write.
"""

from gas.archive.due import due, fan_out
from gas.archive.freeze import archive_all, archive_one, cold_copy_missing, unarchive
from gas.archive.thaw import ask, ask_all, begin_restore, begin_restore_job, retrievals_ready, thaw
from gas.archive.trash import empty_trash

__all__ = [
    "archive_all",
    "archive_one",
    "ask",
    "ask_all",
    "begin_restore",
    "begin_restore_job",
    "cold_copy_missing",
    "due",
    "empty_trash",
    "fan_out",
    "retrievals_ready",
    "thaw",
    "unarchive",
]
