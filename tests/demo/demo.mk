# The main job on a fresh machine, in a minute.
.PHONY: demo
demo:
	@tests/lib/install-packages tests/demo/packages
	@echo "building"
	@$(MAKE) --no-print-directory -s -j$(shell nproc) all softnic tools
	@BUILD=$(abspath $(BUILD)) tests/demo/demo.sh

include examples/examples.mk
