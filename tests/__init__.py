"""The tests, a package so that one may import another's tables: `from tests.ops.samples import ...`."""
