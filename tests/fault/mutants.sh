#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Modules that do not bear it when memory or a copy fails, each in one place: fault
# injection must find each.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/mutants.sh
. tests/mutants.sh
# a slice of one test is enough
unset ALZ_FULL

found() { # MODULE TEST
	tests/fault/run.sh --module "$1" --log console-fault-mutant --options "-t $2" more_test
}

broken() { # NAME SAID FILE SED-SCRIPT TEST
	mutant kasan "$@"
}
waits=all_sorts_of_waits pages=pages_are_put_in errors=errors_of_each_class
unbroken kasan $waits
unbroken kasan $pages
unbroken kasan $errors
broken wait-that-is-not-there-is-used 'the kernel complained' waitfd.c \
	'/^struct file \*alz_waitfd_file/,/^}/ s/if \(!wf\)/if (0)/' $waits
broken wait-without-a-file-leaks 'not ok .* kmemleak finds nothing' waitfd.c \
	'/^struct file \*alz_waitfd_file/,/^}/ s/\t\tkfree\(wf\);//' $waits
broken client-without-pages-leaks 'not ok .* kmemleak finds nothing' process.c \
	'/^struct file \*alz_process_attach/,/^}/ { /if \(!alz_process_pages/,/return/ s/alz_process_free\(process\)/kfree(process)/ }' $pages
broken lost-answer-is-called-something-else 'error 5 is not what' call.c \
	'/call->undo\(call\)/,/goto drop/ s/err = -EFAULT/err = -EIO/' $waits
broken text-that-cannot-be-read-is-left-out 'error 0 is not what' call_store.c \
	'/copy_from_user\(detail/,/return/ s/return -EFAULT/f->detail_size = 0/' $errors
broken key-that-cannot-be-read-is-used 'error 0 is not what' key.h \
	's/return copy_from_user(\(.*\)) \? -EFAULT : 0;/return copy_from_user\1 ? 0 : 0;/' $errors
mutants_end
