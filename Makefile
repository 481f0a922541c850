# make demo    build, and run the main job on the songs in data/
# make test    format, lints, unit, property, SQL and client tests
# make report  build/report.html, a page about the songs' clusters
# make release build/density_peaks.duckdb_extension

EXTENSION := build/density_peaks.duckdb_extension
LIBRARY := target/release/libdensity_peaks.$(if $(filter Darwin,$(shell uname -s)),dylib,so)
PYTHON := .venv/bin/python

.PHONY: demo test report release clean

demo: release .venv/installed
	$(PYTHON) scripts/run_sql.py sql/demo.sql

test: release .venv/installed
	cargo fmt --check
	cargo clippy --release --all-targets --locked -- -D warnings
	for features in "" ort usearch training; do \
		cargo clippy --release --locked --all-targets --no-default-features --features "$$features" -- -D warnings || exit 1; done
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps
	python3 scripts/import_circles.py
	cargo test --release --locked
	$(PYTHON) -m pytest -q -rs tests

report: release .venv/installed
	$(PYTHON) scripts/run_sql.py sql/report.sql
	$(PYTHON) scripts/report.py build/songs.db --clusters clusters --source songs --transition p --label label \
		--columns title,artist,album,year,source -o build/report.html

release:
	cargo build --release --locked
	python3 scripts/package.py $(LIBRARY) $(EXTENSION)

.venv/installed: requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

clean:
	rm -rf build target .venv
