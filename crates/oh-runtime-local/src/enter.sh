# First process of a sandbox until it becomes the agent. It is in a mount and a PID namespace of its own.
#
# usage: enter.sh ROOT MOUNTS [SOURCE TARGET ro|rw]... PROGRAM [ARGUMENT]...
#
# ROOT becomes `/`, together with everything that the host's `/` has and ROOT has not, and MOUNTS more.
# On standard output it writes its process id as the host sees it; it waits for a line on standard input, and writes
# "ready" before it becomes PROGRAM. $OH_VARS names the variables PROGRAM gets, which are here as OH_VAR_<name>, so that
# what a sandbox is to have does not change how the programs used here work.
set -eu

read -r pid _ </proc/self/stat
echo "$pid"
# Who started this may be gone by now.
read -r _ || exit 1

fail() {
    echo "oh: $1" >&2
    exit 1
}

is_there() {
    [ -e "$1" ] || [ -L "$1" ]
}

root=$1 mounts=$2
shift 2
umask 022
mount --bind "$root" "$root" || fail "cannot mount the sandbox's folder on itself"
cd "$root"

# Private whatever the image has: temporary files, and a home folder without the settings of the host's.
is_there tmp || mkdir -m 1777 tmp
is_there root || mkdir -m 700 root
is_there proc || mkdir proc
own=/
for name in * .[!.]* ..?*; do
    own=$own$name/
done
mount -t proc proc proc || fail "cannot mount /proc"

for entry in /* /.[!.]* /..?*; do
    name=${entry#/}
    if is_there "$name"; then
        continue
    elif [ -L "$entry" ]; then
        ln -s "$(readlink "$entry")" "$name"
    elif [ -d "$entry" ]; then
        mkdir "$name"
        mount --rbind "$entry" "$name" || echo "oh: cannot mount the host's $entry" >&2
    elif [ -f "$entry" ]; then
        : >"$name"
        mount --bind "$entry" "$name" || echo "oh: cannot mount the host's $entry" >&2
    fi
done

while [ "$mounts" -gt 0 ]; do
    source=$1 target=${2#/} access=$3
    shift 3
    mounts=$((mounts - 1))
    if ! [ -e "$target" ]; then
        top=${target%%/*}
        # What is not its own is the host's, where nothing is to be made.
        case $own in
        */"$top"/*) ;;
        *) ! is_there "$top" || fail "cannot mount on /$target: /$top is the host's, and there is no /$target in it" ;;
        esac
        if [ -d "$source" ]; then
            mkdir -p "$target"
        else
            mkdir -p "$(dirname "$target")"
            : >"$target"
        fi
    fi
    mount --rbind "$source" "$target" || fail "cannot mount $source on /$target"
    [ "$access" = rw ] || mount -o remount,bind,ro "$target" || fail "cannot mount /$target read-only"
done

mkdir .oh/host
pivot_root . .oh/host || fail "cannot make the sandbox's folder its root"
cd /
umount -l /.oh/host && rmdir /.oh/host || echo "oh: the host's / stays at /.oh/host" >&2

unset PWD OLDPWD
echo ready
for _oh_name in $OH_VARS; do
    eval "export $_oh_name=\"\$OH_VAR_$_oh_name\""
    unset "OH_VAR_$_oh_name"
done
unset OH_VARS _oh_name
exec "$@" </dev/null >&2
