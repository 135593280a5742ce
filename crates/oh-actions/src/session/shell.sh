# Typed into the shell of a session when it starts: what it needs to take commands and to tell how they ended. Not every
# shell is bash, so it is plain sh. Lines stay below 1,000 characters, which is what busybox takes at once.
alias git='git --no-pager'
__oh_b=
if [ -n "$BASH_VERSION" ]; then __oh_b=1; set +o history; set +o histexpand; history -c; fi
read -r __oh_h </proc/sys/kernel/hostname || __oh_h=
__oh_h=${__oh_h%%.*}
__oh_u=$(id -un 2>/dev/null) || __oh_u=
__oh_t=$(stty -g 2>/dev/null) || __oh_t=
# Reads a command that was encoded for printf, up to an empty line. Its argument tells its end from every other one.
__oh_r() {
  __oh_s=$?
  __oh_c=
  while IFS= read -r __oh_l && [ -n "$__oh_l" ]; do __oh_c=$__oh_c$__oh_l; done
  if [ -n "$__oh_b" ]; then printf -v __oh_c %b "$__oh_c"; history -s -- "$__oh_c"
  else __oh_c=$(printf '%b.' "$__oh_c"); __oh_c=${__oh_c%.}; fi
  # Says that the command was read: what ends the shell before that has not run it. Without stty the terminal goes on
  # echoing what is typed, which has to be forgotten. Waiting for a program of its own, bash would say here which jobs are done.
  if [ -n "$__oh_t" ]; then : "$(stty echo)"; __oh_l=; else __oh_l=';echo'; fi
  printf '\033]oh;%s%s\007' "$1" "$__oh_l" >/dev/tty
  __oh_n=$1
  return "$__oh_s"
} 2>/dev/null
# Makes the prompt tell how the command ended. A prompt comes after every command, interrupted or not, and behind what the
# shell says of its jobs. The command may have put another one there. PS2 is what bash shows where an eval ended in a quote.
__oh_p() {
  __oh_s=$?
  if [ -n "$__oh_b" ]; then unset PROMPT_COMMAND; fi
  PS1='$(__oh_e)' PS2=$PS1
  return "$__oh_s"
} 2>/dev/null
__oh_e() {
  __oh_s=$?
  if [ -n "$__oh_t" ]; then stty "$__oh_t"; fi
  __oh_q=${PATH-}:
  __oh_y=
  while [ -n "$__oh_q" ]; do
    if [ -f "${__oh_q%%:*}/python" ] && [ -x "${__oh_q%%:*}/python" ]; then __oh_y=${__oh_q%%:*}/python; break; fi
    __oh_q=${__oh_q#*:}
  done
  # A prompt goes to standard error, which may not be the terminal any more.
  if [ ! -t 3 ]; then exec >/dev/tty; fi
  printf '\033]oh;%s;%s;%s;%s;%s;%s;%s\007' "$__oh_n" "$__oh_s" "${!-}" "$__oh_u" "$__oh_h" "$__oh_y" "${PWD-}"
} 3>&2 2>/dev/null
