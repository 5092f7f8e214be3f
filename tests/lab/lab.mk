# The tests in a virtual machine with a real RSS driver. LAB_TESTS="10-sanity ..." runs others of
# tests/lab/guest, or a script of one's own if the name has a slash; LAB_FILES are put into /lab/bin.
LAB_TESTS ?= 10-sanity 15-changes 20-nic 25-doctor 27-stacked 30-nginx 35-cpus 40-proxy 45-ladder 47-learn 50-changes
LAB_FILES ?=

.PHONY: lab
lab:
	@tests/lib/install-packages
	@$(MAKE) --no-print-directory all tools examples
	@tests/lab/lab -b $(BUILD)/lab $(addprefix -f ,$(LIB) $(COMMAND) $(BUILD)/observe \
		$(BUILD)/refuse $(BUILD)/examples/plan $(LAB_FILES)) $(LAB_TESTS)
