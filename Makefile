# make demo    build, and run the main job on the songs in data/
# make test    format, lints, unit, property, SQL and client tests; make test-all those too that need more packages
# make report  build/report.html, a page about the songs' clusters
# make docs    build/site, the documentation as a site; a link that leads nowhere is an error
# make notebook opens notebooks/songs.ipynb in JupyterLab
# make optional more Python packages into .venv: for the report, pictures, the notebook, all tests
# make release build/density_peaks.duckdb_extension, and a file for each version of DuckDB in DUCKDB_VERSIONS
#              TARGET=x86_64-unknown-linux-gnu.2.28 or aarch64-unknown-linux-gnu.2.28 compiles them for Linux with a
#              glibc as old as that, and without libstdc++; see docs/install.md
# make repository build/repository, a folder for DuckDB's INSTALL; SIGNING_KEY=key.pem signs it
# make wheel   dist/density_peaks-*.whl, the Python package
# make fuzz    generated input, a minute for each target; FUZZ_SECONDS=600 for longer, FUZZ_SEED=2 for other input
# make sanitize the core's tests under AddressSanitizer and ThreadSanitizer, with a nightly toolchain; else valgrind
# make sanitize-extension  the extension under AddressSanitizer, with a nightly toolchain: SQL and client tests, generated calls
# make soak    mixed statements over 50,000 rows on eight threads for an hour, or SOAK_SECONDS
# make test-spark  the package in spark/, on two executors of this machine where there is Java 17
# make test-versions  SQL tests on each known version of DuckDB but the newest, which make test runs on

PYTHON := .venv/bin/python
ifdef TARGET
TRIPLE := $(firstword $(subst ., ,$(TARGET)))
PLATFORM := $(if $(filter aarch64-%,$(TARGET)),linux_arm64,linux_amd64)
LIBRARY := target/$(TRIPLE)/release/libdensity_peaks.so
# numkong's kernels want popcnt named, and for arm64 they do not compile.
COMPILE := PATH="$(CURDIR)/build/zig/bin:$$PATH" CFLAGS_x86_64_unknown_linux_gnu=-mpopcnt cargo zigbuild --lib \
	--target $(TARGET) $(if $(filter aarch64-%,$(TARGET)),--no-default-features --features extension)
COMPILER := build/zig/installed
else
LIBRARY := target/release/libdensity_peaks.$(if $(filter Darwin,$(shell uname -s)),dylib,so)
PLATFORM = $(shell PYTHONPATH=scripts python3 -c "import package; print(package.own_platform())")
COMPILE := cargo build
endif
# Oldest first. The last one is that of requirements.txt.
KNOWN_VERSIONS := $(shell cut -d " " -f 1 src/duckdb/known_versions.txt)
DUCKDB_VERSIONS ?= $(KNOWN_VERSIONS)

FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 1
SOAK_SECONDS ?= 3600
HOST = $(shell rustc --version --verbose | sed -n 's/^host: //p')

.PHONY: demo test test-all optional fuzz sanitize sanitize-extension soak test-spark test-versions report notebook docs release repository wheel clean

# A line for a step with its time; what it prints, only if it fails.
define step
@mkdir -p build; printf "%-60s " "$(1)"; start=$$(date +%s); \
	if $(MAKE) --no-print-directory $(2) > build/step.log 2>&1; then printf "%4d s\n" $$(($$(date +%s) - start)); \
	else echo failed; cat build/step.log; exit 1; fi
endef

demo:
	$(call step,Compiling the extension: ten minutes the first time,release)
	$(call step,Installing DuckDB for Python into .venv,.venv/installed)
	@$(PYTHON) scripts/demo.py

test: release .venv/installed
	cargo fmt --check
	cargo clippy --release --all-targets --locked -- -D warnings
	for features in "" ort usearch training; do \
		cargo clippy --release --locked --all-targets --no-default-features --features "$$features" -- -D warnings || exit 1; done
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps
	python3 scripts/import_circles.py
	cargo test --release --locked
	$(PYTHON) -m pytest -q -rs tests

optional: .venv/optional

test-all: .venv/optional
	$(MAKE) test

fuzz: release .venv/installed
	FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) cargo test --release --locked --lib fuzz -- --nocapture --test-threads 1
	$(PYTHON) tests/fuzz/sql_calls.py $(FUZZ_SECONDS) $(FUZZ_SEED)
	$(PYTHON) tests/fuzz/sequences.py $(FUZZ_SECONDS) $(FUZZ_SEED)000000

# ThreadSanitizer must see the standard library too, whose source is a part of the toolchain of its own. Tests ask for more
# memory than there is, which is no error.
sanitize: export ASAN_OPTIONS := allocator_may_return_null=1
sanitize: export TSAN_OPTIONS := allocator_may_return_null=1
sanitize:
	if rustup component list --toolchain nightly 2> /dev/null | grep -q "rust-src (installed)"; then \
		for sanitizer in address thread; do RUSTFLAGS=-Zsanitizer=$$sanitizer CARGO_PROFILE_TEST_OPT_LEVEL=1 \
			cargo +nightly test -Zbuild-std --locked --no-default-features --target $(HOST) --target-dir target/$$sanitizer --lib || exit 1; done; \
	else \
		cargo test --locked --no-default-features --lib --no-run --target-dir target/valgrind && \
		valgrind --quiet --error-exitcode=1 $$(ls -t target/valgrind/debug/deps/density_peaks-* | grep -v '\.' | head -1); \
	fi

# The runtime must be in the process before Python's first allocation, and the toolchain has it only as an archive for programs.
SANITIZED := target/address/extension
sanitize-extension: export ASAN_OPTIONS := detect_leaks=0:allocator_may_return_null=1:detect_odr_violation=0
sanitize-extension: .venv/installed
	RUSTFLAGS=-Zsanitizer=address CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
		CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		cargo +nightly build --release --locked --lib --no-default-features --features extension --target $(HOST) \
		--target-dir target/address
	python3 scripts/package.py target/address/$(HOST)/release/libdensity_peaks.so $(SANITIZED)
	cp "$$(rustc +nightly --print target-libdir)/librustc-nightly_rt.asan.a" $(SANITIZED)/asan.a
	ar d $(SANITIZED)/asan.a asan_preinit.cpp.o
	cc -shared -o $(SANITIZED)/asan.so -Wl,--whole-archive $(SANITIZED)/asan.a -Wl,--no-whole-archive -lpthread -ldl -lrt -lm \
		-Wl,--no-as-needed -lstdc++
	export DENSITY_PEAKS_EXTENSION=$(SANITIZED)/density_peaks.duckdb_extension LD_PRELOAD=$(CURDIR)/$(SANITIZED)/asan.so; \
		$(PYTHON) -m pytest -q -s tests/sql $(addprefix tests/client/test_,internal.py plans.py relations.py ids.py) && \
		$(PYTHON) tests/fuzz/sql_calls.py $(FUZZ_SECONDS) $(FUZZ_SEED)

soak: release .venv/installed
	$(PYTHON) tests/fuzz/soak.py $(SOAK_SECONDS)

test-spark: release build/spark/installed
	build/spark/bin/python -m pytest -q -rs spark/tests

test-versions: release .venv/installed
	for version in $(filter-out $(lastword $(KNOWN_VERSIONS)),$(KNOWN_VERSIONS)); do \
		.venv/bin/pip install --quiet --disable-pip-version-check --upgrade --no-deps --target build/duckdb-$$version \
			duckdb==$$version || exit 1; \
		DENSITY_PEAKS_EXTENSION=build/v$$version/$(PLATFORM)/density_peaks.duckdb_extension \
			PYTHONPATH="$(CURDIR)/build/duckdb-$$version" $(PYTHON) -m pytest -q -k "not knn_graph and not memory" \
			tests/sql tests/client/test_versions.py tests/tools/test_wheel.py tests/tools/test_repository.py || exit 1; done

report: release .venv/optional
	$(PYTHON) scripts/run_sql.py sql/report.sql
	$(PYTHON) scripts/report.py build/songs.db --clusters clusters --source songs --transition p --label label \
		--columns title,artist,album,year,source -o build/report.html
	@echo "file://$(CURDIR)/build/report.html"

docs: build/docs/installed
	build/docs/bin/python scripts/docs/site.py

build/docs/installed: requirements-docs.txt
	python3 -m venv build/docs
	build/docs/bin/pip install --quiet --disable-pip-version-check --requirement requirements-docs.txt
	touch $@

notebook: release .venv/optional
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements-notebook.txt
	.venv/bin/jupyter lab notebooks/songs.ipynb

release: $(COMPILER)
	$(COMPILE) --release --locked
	rm -rf build/v*/$(PLATFORM)
	python3 scripts/package.py $(LIBRARY) build --duckdb $(DUCKDB_VERSIONS) --platform $(PLATFORM)

build/zig/installed:
	python3 -m venv build/zig
	build/zig/bin/pip install --quiet --disable-pip-version-check ziglang==0.17.1 cargo-zigbuild==0.24.1
	rustup target add x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu
	touch $@

repository: release
	rm -rf build/repository
	python3 scripts/repository.py build build/repository $(if $(SIGNING_KEY),--signing-key $(SIGNING_KEY))

# Who has the package trusts its key, so one that is made for it and thrown away serves too.
wheel: release
	rm -rf build/signed
	python3 scripts/repository.py build build/signed $(if $(SIGNING_KEY),--signing-key $(SIGNING_KEY),--throw-away-key)
	python3 scripts/wheel.py build/signed dist

build/spark/installed: spark/requirements.txt
	python3 -m venv build/spark
	build/spark/bin/pip install --quiet --disable-pip-version-check --requirement spark/requirements.txt
	touch $@

.venv/installed: requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

.venv/optional: .venv/installed requirements-optional.txt
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements-optional.txt
	touch $@

clean:
	rm -rf build dist target .venv
