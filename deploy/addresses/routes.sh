# Part of `bird` and `layer2`: changes of many routes by one call of iproute2. Read by a shell (sh), not run.

# change FAMILY: makes the changes on standard input, in the words of `ip -batch`. Fails if one of them is refused; to delete
# what is not there any more is no refusal.
change() {
    said=$(ip "$1" -force -batch - 2>&1 || echo "ip ended with $?") # 1 and 2: it has said why
    said=$(echo "$said" | grep -v -e 'No such process' -e 'FIB table does not exist' -e '^Command failed' \
        -e '^ip ended with [12]$' -e '^$') || return 0 # nothing is left of it
    echo "$said" >&2
    return 1
}

# family PREFIX: prints the word by which ip knows the family.
family() {
    case $1 in
        *:*) echo -6 ;;
        *) echo -4 ;;
    esac
}

# all_or_each FUNCTION PREFIX...: calls FUNCTION with `-4` or `-6` and all prefixes of that family; if that fails, with each by
# itself. Leaves in $moved those for which it has worked, and fails if it did not for one.
all_or_each() {
    what=$1 four='' six='' moved='' status=0
    shift
    for prefix in "$@"; do
        case $prefix in
            *:*) six="$six $prefix" ;;
            *) four="$four $prefix" ;;
        esac
    done
    # shellcheck disable=SC2086  # prefixes have no spaces
    if { [ -z "$four" ] || "$what" -4 $four; } && { [ -z "$six" ] || "$what" -6 $six; }; then
        moved=$*
        return 0
    fi
    for prefix in "$@"; do
        if "$what" "$(family "$prefix")" "$prefix"; then moved="$moved $prefix"; else status=1; fi
    done
    return "$status"
}
