"""The version of the package these modules came in."""

VERSION = "1.0.0"
