# make install, make uninstall. DESTDIR is where the tree is put, PREFIX what it will find itself in.
INSTALL ?= install
VERSION := $(shell sed -n 's/.*RSSSHIM_VERSION "\(.*\)"/\1/p' shim/version.h)

# mode:source:place under PREFIX
INSTALLED := \
	755:$(COMMAND):bin/rssshim \
	755:$(LIB):lib/librssshim.so \
	644:$(BUILD)/librssshim.pc:lib/pkgconfig/librssshim.pc \
	644:$(BUILD)/nginx-rssshim.conf:share/doc/librssshim/nginx-rssshim.conf \
	644:shim/command/install/rssshim.bash:share/bash-completion/completions/rssshim \
	$(foreach header,$(wildcard include/*.h),644:$(header):$(header)) \
	$(foreach page,$(wildcard shim/command/man/*.[1-8]),\
		644:$(page):share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
	$(foreach policy,$(wildcard conf/*.ini),644:$(policy):share/doc/librssshim/$(notdir $(policy)))

part = $(word $(1),$(subst :, ,$(2)))

$(BUILD)/librssshim.pc: shim/command/install/librssshim.pc.in shim/version.h FORCE
	@mkdir -p $(@D)
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' $< >$@

$(BUILD)/nginx-rssshim.conf: examples/nginx-rssshim.conf FORCE
	@mkdir -p $(@D)
	sed 's|/usr/local|$(PREFIX)|' $< >$@

.PHONY: install uninstall FORCE
FORCE:
install: all $(BUILD)/librssshim.pc $(BUILD)/nginx-rssshim.conf
	$(foreach file,$(INSTALLED),$(INSTALL) -D -m $(call part,1,$(file)) $(call part,2,$(file)) \
		"$(DESTDIR)$(PREFIX)/$(call part,3,$(file))" &&) true

# Directories of others stay.
uninstall:
	rm -f $(foreach file,$(INSTALLED),"$(DESTDIR)$(PREFIX)/$(call part,3,$(file))")
	-rmdir "$(DESTDIR)$(PREFIX)/share/doc/librssshim"
