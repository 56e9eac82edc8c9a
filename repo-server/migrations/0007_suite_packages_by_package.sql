-- Which suites hold a package is asked for every package in the pool.
CREATE INDEX suite_packages_by_package ON suite_packages (sha256);
