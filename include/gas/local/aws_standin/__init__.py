"""A stand-in for AWS: moto in server mode, mended where it differs from AWS in ways GAS depends on.

Run it with ``python -m gas.local.aws_standin --port PORT --state FOLDER``.
"""
