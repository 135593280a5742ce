# The interpreter behind `run_ipython`. Requests come as lines of JSON on standard input; answers go as lines of JSON to what
# was standard output. The code's own output, its children's included, goes through a pipe and is passed on as it comes.
import ast, codecs, json, linecache, os, signal, sys, threading, traceback

requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
nothing = os.open(os.devnull, os.O_RDONLY)
os.dup2(nothing, 0)
outlet, inlet = os.pipe()
os.dup2(inlet, 1)
os.dup2(inlet, 2)
os.close(inlet)
sys.stdout = os.fdopen(1, "w", 1, encoding="utf-8", errors="replace", closefd=False)
sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="replace", closefd=False)
lock = threading.Lock()
# Where the output of a cell ends: the code cannot know it before.
end = None
ended = threading.Event()


def answer(**what):
    with lock:
        answers.write(json.dumps(what) + "\n")
        answers.flush()


def pass_on():
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    waiting = b""
    while True:
        waiting += os.read(outlet, 16384)
        mark = end
        at = waiting.find(mark) if mark else -1
        if at >= 0:
            out, waiting = waiting[:at], waiting[at + len(mark):]
        else:
            # A mark may have come in part.
            keep = len(mark) - 1 if mark else 0
            while keep and not mark.startswith(waiting[-keep:]):
                keep -= 1
            out, waiting = waiting[:len(waiting) - keep], waiting[len(waiting) - keep:]
        text = decoder.decode(out)
        if text:
            answer(out=text)
        if at >= 0:
            ended.set()


def run(code, number):
    name = "<cell %d>" % number
    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    try:
        tree = ast.parse(code, name)
        value = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            value = ast.Expression(tree.body.pop().value)
        exec(compile(tree, name, "exec"), cell)
        if value is not None:
            value = eval(compile(value, name, "eval"), cell)
            if value is not None:
                cell["_"] = value
                print(repr(value))
    except BaseException as error:
        # Not the frames of this file.
        trace = error.__traceback__
        trace = trace.tb_next if trace else None
        sys.stderr.write("".join(traceback.format_exception(type(error), error, trace)))


def interrupt(number, frame):
    if running:
        raise KeyboardInterrupt


running = False
signal.signal(signal.SIGINT, interrupt)
threading.Thread(target=pass_on, daemon=True).start()
cell = {"__name__": "__main__", "__builtins__": __builtins__}
answer(python=sys.executable)
for number, line in enumerate(requests, 1):
    request = json.loads(line)
    os.environ.update(request["env"])
    if request["cwd"]:
        try:
            os.chdir(request["cwd"])
        except OSError as error:
            sys.stderr.write("%s\n" % error)
    running = True
    try:
        run(request["code"], number)
    except KeyboardInterrupt:
        pass
    running = False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    ended.clear()
    end = os.urandom(16)
    os.write(1, end)
    ended.wait()
    end = None
    answer(done=True)
