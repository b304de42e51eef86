"""Looking at a result: filtering, sorting, paging and exporting the table of annotated variants.

The table is read from a copy of its Parquet file on this machine (:mod:`gas.explore.cache`), never as a whole:
:mod:`gas.explore.view` says what somebody wants to see, :mod:`gas.explore.table` finds it, :mod:`gas.explore.export`
and :mod:`gas.explore.vcf` write it out. Who may see a result is decided before, on the record of its job.
"""
