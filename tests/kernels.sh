# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# The command line of a suite that runs one program on each kernel, for a script that
# sources this and has a usage(): [KERNEL...] [-- OPTION...].

kernels=()
program_options=()

kernels_and_options() { # ARGUMENT...
	while (($#)); do
		case $1 in
		-h | --help)
			usage
			exit 0
			;;
		--)
			shift
			program_options=("$@")
			return
			;;
		-*)
			usage >&2
			exit 2
			;;
		*) kernels+=("$1") ;;
		esac
		shift
	done
}
