# bash completion of rssshim(1). The verbs and their options are those that --help prints.

_rssshim() {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
	local help i

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "--help --version $(
			rssshim --help 2>/dev/null | sed -n 's/^  rssshim \([a-z]*\).*/\1/p')" -- "$word")
		return
	fi
	if [ "$verb" = run ]; then
		for ((i = 2; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			--conf) ((i++)) ;;
			--) ((i++)); break ;;
			*) break ;;
			esac
		done
		if ((i < COMP_CWORD)) || [ "${COMP_WORDS[COMP_CWORD - 1]}" = -- ]; then
			declare -F _command_offset >/dev/null && _command_offset "$i"
			return
		fi
	fi
	case $previous in
	--conf)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--nic)
		mapfile -t COMPREPLY < <(cd /sys/class/net && compgen -G "$word*")
		return
		;;
	--remote | --local | --cpu | --key | --range) return ;;
	esac
	case $word in
	-*)
		help=$(rssshim --help 2>/dev/null | sed -n "s/^  rssshim $verb //p" | grep -o -e '--[a-z][a-z]*')
		mapfile -t COMPREPLY < <(compgen -W "$help" -- "$word")
		;;
	*)
		case $verb in
		run) mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;
		stat | top | explain | on | off)
			mapfile -t COMPREPLY < <(compgen -W "$(rssshim top --count 1 2>/dev/null |
				sed -n 's/^[^ ]* (pid \([0-9]*\).*/\1/p; s/^[^ ]*  *\([0-9][0-9]*\) .*/\1/p')" -- "$word")
			;;
		check) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
		nic) mapfile -t COMPREPLY < <(cd /sys/class/net && compgen -G "$word*") ;;
		esac
		;;
	esac
}
complete -o filenames -F _rssshim rssshim
