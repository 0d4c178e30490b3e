# SPDX-License-Identifier: GPL-3.0-or-later
# Needs Python 3.10 or newer with its venv module, git and a package index. Everything else goes into .venv.

PYTHON ?= python3
PARTS = lint docs changelog sanity unit integration machines build certified site
TIERS = quick test test-all

.PHONY: help venv demo $(TIERS) $(PARTS) matrix release e2e bench format clean

help:
	@echo "make demo         show the collection at work against the emulator; no account needed"
	@echo "make quick        lint, the unit tests and a dozen playbooks, while you work: two minutes"
	@echo "make test         everything that an ordinary change can break, before a commit: ten minutes"
	@echo "make test-all     the same again in every shell, at length and many times over, and write docs/test-all.md"
	@echo
	@echo "make lint         ruff, mypy, reuse, ansible-lint"
	@echo "make docs         the documentation of plugins, roles and guides"
	@echo "make changelog    the changelog and its fragments"
	@echo "make sanity       ansible-test sanity"
	@echo "make unit         the unit tests"
	@echo "make integration  playbooks against the emulator"
	@echo "make machines     virtual machines that boot, and are reinstalled; needs QEMU"
	@echo "make build        the tarball, and what galaxy-importer says of it"
	@echo "make certified    the same, with the importer's own linters, as certification asks"
	@echo "make site         the documentation site, into tests/output/site; looks at it with chromium-driver"
	@echo "make e2e          show the reinstallation of two virtual machines, start to end; needs QEMU"
	@echo "make bench        measure what tasks cost, beside other collections, and write docs/benchmarks.md"
	@echo "make matrix       the units, a dozen playbooks and sanity on six cores, and write docs/matrix.md"
	@echo "make release VERSION=...  changelog, checks, tag and tarball; publishes nothing"
	@echo "make format       mend what ruff can mend"
	@echo "make clean        remove .venv and what the checks leave behind"
	@echo
	@echo "PYTHON=... chooses another interpreter than python3."

# Made anew when the requirements, the interpreter or the place of the clone change.
venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "Python 3.10 or newer is needed; name one: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	    { echo "$(PYTHON) lacks its venv module (python3-venv on Debian and Ubuntu)." >&2; exit 1; }
	@stamp=$$({ pwd; $(PYTHON) -c 'import sys; print(sys.base_prefix, sys.version)'; \
	        cat tests/requirements.txt; } | cksum) && \
	if [ "$$stamp" != "$$(cat .venv/stamp 2>/dev/null)" ]; then \
	    echo "Setting up .venv: some 150 packages are fetched, which take 400 MB of disk ..." && \
	    $(PYTHON) -m venv --clear .venv && \
	    { .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off -r tests/requirements.txt; \
	      echo "ended $$?"; } | awk '/^Collecting/ && ++n % 25 == 0 { print "  " n " are there"; fflush() } \
	        /^Installing/ { print "  all are there, and are installed"; fflush() } /^ended/ { exit $$2 }' && \
	    echo "$$stamp" >.venv/stamp; \
	fi

demo: venv
	@.venv/bin/python demo/run.py

$(TIERS) $(PARTS): venv
	@.venv/bin/python tools/check.py $@

# Needs python3.10 to python3.13 on the PATH.
matrix:
	@$(PYTHON) tools/matrix.py $(ROWS)

release: venv
	@.venv/bin/python tools/release.py "$(VERSION)"

e2e: venv
	@.venv/bin/python -m pytest -qs -m "" tests/machines/test_story.py

bench: venv
	@cd tests && PYTHONPATH=../emulator ../.venv/bin/python -m benchmarks

format: venv
	.venv/bin/python -m ruff check --fix-only .
	.venv/bin/python -m ruff format .

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .ansible tests/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
