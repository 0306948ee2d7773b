# venv: none
"""The prompt, typed at through a terminal of its own and read from a pipe."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

PROGRAM = os.environ["MLENGINE"]
PATIENCE_S = 30
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x07")


class Prompt:
    """A mlengine repl on a pseudo terminal."""

    def __init__(self, folder):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.environ["TERM"] = "xterm"
            os.execv(PROGRAM, [PROGRAM, "repl"])
        self.pid, self.text = pid, ""

    def send(self, text):
        os.write(self.fd, text.encode())

    def wait_for(self, pattern):
        """Reads until `pattern` shows; returns the match and forgets what came before its end."""
        deadline = time.time() + PATIENCE_S
        while True:
            found = re.search(pattern, self.text)
            if found:
                self.text = self.text[found.end():]
                return found
            if time.time() > deadline or not self.read():
                raise AssertionError(f"no {pattern!r} in {self.text!r}")

    def read(self):
        if not select.select([self.fd], [], [], 1)[0]:
            return True
        try:
            part = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += ESCAPES.sub("", part.decode(errors="replace"))
        return bool(part)

    def ask(self, line, pattern=None, prompt="> "):
        """Types a line; what it gives, then the next prompt, must show. Keys sent before it may be lost."""
        self.send(line + "\n")
        if pattern:
            self.wait_for(pattern)
        self.wait_for(re.escape(prompt))

    def closed(self, code):
        while self.read() and select.select([self.fd], [], [], 0)[0]:
            continue
        os.close(self.fd)
        if code != 0:
            raise AssertionError(f"the prompt ended with {code}: {self.text!r}")
        return code

    def end(self):
        """Ctrl-D, again and again: one that comes between prompt and raw mode is lost."""
        deadline = time.time() + PATIENCE_S
        while time.time() < deadline:
            self.send("\x04")
            for _ in range(20):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid != 0:
                    return self.closed(os.waitstatus_to_exitcode(status))
                time.sleep(0.01)
        raise AssertionError("the prompt goes on after the end of its input")


class Typed(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="mlengine-repl-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.prompt = Prompt(self.folder)
        self.addCleanup(self.kill)
        self.prompt.wait_for("> ")

    def kill(self):
        try:
            os.kill(self.prompt.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def test_expressions_need_no_return_and_locals_stay(self):
        self.prompt.ask("6 * 7", r"\n42\r")
        self.prompt.ask("local a, b <const> = 'x', { 1, two = 2 }")
        self.prompt.ask("a, b", r'\n"x"\t\{ 1, two = 2 \}')
        self.prompt.ask("function twice(n) return 2 * n end")
        self.prompt.ask("twice(21)", r"\n42\r")
        self.assertEqual(self.prompt.end(), 0)

    def test_a_statement_may_take_several_lines(self):
        self.prompt.ask("for i = 1, 2 do", prompt="... ")
        self.prompt.ask("print('line', i)", prompt="... ")
        self.prompt.ask("end", r"line\t1\r\nline\t2\r|line +1\r\nline +2\r")
        self.assertEqual(self.prompt.end(), 0)

    def test_modules_are_bound_and_frames_print_as_tables(self):
        self.prompt.ask('frame.sql "select 42 as answer"', r"answer\r\n +42\r")
        self.assertEqual(self.prompt.end(), 0)

    def test_mistakes_are_lines(self):
        self.prompt.ask("1 +* 2", r"unexpected symbol near '\*'")
        self.prompt.ask("undefned_name", r"undefined variable 'undefned_name'")
        self.prompt.ask("error { 1 }", r"error that is a table")
        self.prompt.ask("1 + 1", r"\n2\r")
        self.assertEqual(self.prompt.end(), 0)

    def test_ctrl_c_ends_the_evaluation_only(self):
        self.prompt.ask("x = 5")
        for endless in ("while true do end", "while true do pcall(function() while true do end end) end",
                        *["while true do print 'and on' end"] * 5):  # which waits for the terminal, mostly
            self.prompt.send(endless + "\n")
            time.sleep(0.5)
            self.prompt.send("\x03")
            self.prompt.wait_for("interrupted")
            self.prompt.wait_for("> ")
            self.prompt.ask("x", r"\n5\r")
        self.assertEqual(self.prompt.end(), 0)

    def test_ctrl_c_forgets_the_line(self):
        self.prompt.send("this is no good")
        time.sleep(0.5)
        self.prompt.send("\x03")
        self.prompt.wait_for("> ")
        self.prompt.ask("40 + 2", r"\n42\r")
        self.assertEqual(self.prompt.end(), 0)

    def test_tab_completes_globals_fields_and_methods(self):
        self.prompt.ask("mlf\t", r"delete_alias = function")
        self.prompt.ask("string.form\t('%d', 12)", r"\n\"12\"\r")
        self.prompt.ask("text = 'abc'")
        self.prompt.ask("text:uppe\t()", r'\n"ABC"\r')
        self.prompt.ask("f = frame.sql 'select 1 as a union all select 2'")
        self.prompt.ask("f:coun\t()", r"\n2\r")
        self.prompt.send("string.\t")
        self.prompt.wait_for(r"byte  char  find")
        self.prompt.send("\x03")
        self.prompt.wait_for("> ")
        self.assertEqual(self.prompt.end(), 0)

    def test_history_is_kept_between_two_prompts(self):
        self.prompt.ask("1234 + 1", r"\n1235\r")
        self.assertEqual(self.prompt.end(), 0)
        path = os.path.join(self.folder, ".mlengine", "repl_history")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.prompt = Prompt(self.folder)
        self.prompt.wait_for("> ")
        self.prompt.ask("\x1b[A", r"\n1235\r")
        self.assertEqual(self.prompt.end(), 0)

    def test_a_hostile_history_is_no_matter(self):
        self.assertEqual(self.prompt.end(), 0)
        with open(os.path.join(self.folder, ".mlengine", "repl_history"), "wb") as f:
            f.write(os.urandom(5000))
        self.prompt = Prompt(self.folder)
        self.prompt.wait_for("> ")
        self.prompt.ask("1 + 1", r"\n2\r")
        self.assertEqual(self.prompt.end(), 0)

    def test_letters_beyond_ascii(self):
        self.prompt.ask("'grüß Gott'", r'\n"grüß Gott"\r')
        self.assertEqual(self.prompt.end(), 0)


class Piped(unittest.TestCase):
    def run_lines(self, text, code):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([PROGRAM, "repl"], input=text, cwd=folder, capture_output=True,
                                  text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_lines_of_a_pipe(self):
        self.assertEqual(self.run_lines("1 + 1\n'a'\n", 0).stdout, '2\n"a"\n')

    def test_mistakes_are_told_by_the_exit_code(self):
        done = self.run_lines("error 'no'\n2\n", 1)
        self.assertEqual(done.stdout, "2\n")
        self.assertIn("no", done.stderr)

    def test_a_prompt_is_a_rehearsal(self):
        lines = """
run = mlflow.start_run { experiment = "x" }
run:finish()
mlflow.register_model("runs:/" .. run.id .. "/m", "M").rehearsal
mlflow.get_run(run.id).data.tags["mlengine.rehearsal"]
"""
        self.assertIn('"repl"', self.run_lines(lines, 0).stdout)


if __name__ == "__main__":
    unittest.main()
