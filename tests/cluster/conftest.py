"""The cluster tests use the clients and the process helpers of the tests in ../api."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'api'))
