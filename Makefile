# PTR for ROS 2. `make` alone says what there is.

SEED ?= 0
PYTEST_OPTIONS ?=

# The first of these that is Python 3.10 to 3.13, unless PYTHON=… says another one.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)

VENV := .venv
STAMPS := $(VENV)/stamps
BOOTSTRAP = $(if $(PYTHON),$(PYTHON),$(error No Python 3.10 to 3.13 was found: install python3, \
	or give one: make PYTHON=/path/to/python3)) scripts/bootstrap.py

# With a ROS 2 sourced the workspace is installed in install/, otherwise in .venv, where nothing has to be sourced.
ifdef ROS_DISTRO
IN_ROS := . install/local_setup.sh &&
BIN := install/bin
else
IN_ROS :=
BIN := $(VENV)/bin
endif

# A .venv of another place or of another ROS is made anew.
ifneq ($(shell cat $(VENV)/key 2>/dev/null),$(CURDIR) $(ROS_DISTRO))
$(shell rm -rf $(STAMPS))
endif

.PHONY: help setup demo test jazzy browser lint pretrain doctor lock clean
.DEFAULT_GOAL := help

help: ## this list
	@echo "PTR for ROS 2: teach a WidowX 250 a new task from ten demonstrations"
	@echo
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'
	@echo
	@echo "After set-up: $(BIN)/ptr --help"

setup: $(STAMPS)/packages ## everything into .venv: Python packages, ROS 2, the five packages of the suite

demo: setup ## in simulation: record, fine-tune, deploy, evaluate, report (SEED=0)
	@$(IN_ROS) $(BIN)/ptr demo --seed $(SEED)

test: setup $(STAMPS)/tests ## all tests (PYTEST_OPTIONS='-k launching -x')
	@$(IN_ROS) $(VENV)/bin/python -m pytest $(PYTEST_OPTIONS)

jazzy: ## all tests on ROS 2 Jazzy from wheels (.venv-jazzy)
	@scripts/test_on_jazzy

browser: $(STAMPS)/tests tests/browser/node_modules ## Chromium and an emulated headset, for the tests of the operator's page

lint: $(STAMPS)/tests ## style, mistakes that a linter sees, and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

pretrain: setup ## make the shipped checkpoint again, from nothing (about an hour on 2 cores)
	@$(IN_ROS) scripts/pretrain

doctor: setup ## what is there, what is missing, what it is for and how to get it
	@$(IN_ROS) $(BIN)/ptr doctor

lock: ## choose newer versions of the Python requirements (needs uv)
	@scripts/lock_requirements

clean: ## remove .venv, .venv-jazzy, build, install, log (not runs, not data)
	rm -rf $(VENV) .venv-jazzy build install log tests/browser/node_modules .pytest_cache .ruff_cache .mypy_cache .hypothesis

# --- what is done when ----------------------------------------------------------------------------------------------

SOURCES_OF_MESSAGES := $(foreach p,ptr_msgs $(wildcard ptr_bringup/stand_in/*_msgs),$(wildcard $p/*.txt $p/*.xml \
	$p/*/*.msg $p/*/*.srv $p/*/*.action))
PYTHON_PACKAGES := models ptr_bringup ptr_teleop ptr_policy
SOURCES_OF_PACKAGES := $(foreach p,$(PYTHON_PACKAGES),$(wildcard $p/setup.py $p/setup.cfg $p/pyproject.toml \
	$p/package.xml $p/launch $p/config $p/udev $p/urdf $p/launch/* $p/config/* $p/udev/* $p/urdf/* \
	$p/checkpoints $p/checkpoints/* $p/checkpoints/*/*))

tests/browser/node_modules: tests/browser/package.json tests/browser/package-lock.json scripts/set_up_browser
	@scripts/set_up_browser
	@touch $@

$(STAMPS)/python: requirements/lock.txt requirements/python.in scripts/bootstrap.py \
		ptr_bringup/ptr_bringup/ros_environment.py
	@$(BOOTSTRAP) python

$(STAMPS)/tests: $(STAMPS)/python requirements/lock-tests.txt requirements/tests.in
	@$(BOOTSTRAP) tests

$(STAMPS)/messages: $(STAMPS)/python $(SOURCES_OF_MESSAGES) scripts/ros_wheels_fix.cmake
	@$(BOOTSTRAP) messages

$(STAMPS)/packages: $(STAMPS)/messages $(SOURCES_OF_PACKAGES) colcon.meta
	@$(BOOTSTRAP) packages
