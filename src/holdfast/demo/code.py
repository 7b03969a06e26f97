"""What source files and commands look like: blocks of code and lines of output, data only.

Slots: `$f` a function, `$c` a type, `$v` a variable, `$m` a path, `$w` a word, `$x` a comment,
`$k` a number, `$h` a short hash, `$s` a duration, `$t` a time of day, `$u` a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Output:
    """A command and the lines that it may print."""

    command: str
    purpose: str
    lines: tuple[str, ...]
    slow: bool = False  # runs long enough to report progress


def _blocks(text: str) -> tuple[str, ...]:
    """Blocks are divided by a line of dashes: blank lines belong to the code."""
    return tuple(block.strip("\n") for block in dedent(text).strip("\n").split("\n----\n"))


PYTHON = _blocks("""
    def $f($v: $c, $v: int = $k) -> $c:
        $v = $v.$f($v)
        if $v is None:
            raise $cError("$w $w is $w")
        return $c($v, $v=$v)
    ----
    class $c:
        \"\"\"$x\"\"\"

        def __init__(self, $v: $c, *, $v: float = $k.0) -> None:
            self._$v = $v
            self._$v: dict[str, $c] = {}

        def $f(self, $v: str) -> $c | None:
            return self._$v.get($v)
    ----
        async def $f(self, $v: $c) -> None:
            async with self._$v:
                for $v in await $f($v):
                    self.$f($v, $v=len($v))
                    logger.debug("$w %s: %d of %d", $v, $v, $k)
    ----
    def test_$f($v: $c) -> None:
        $v = $f("$w-$w", $v=$k)
        assert $v.$f() == $k
        assert "$w" not in $v.$v
    ----
    @dataclass(frozen=True)
    class $c:
        $v: str
        $v: int = $k
        $v: list[$c] = field(default_factory=list)
    ----
    # $x
    $v = {
        "$w": $f,
        "$w_$w": $k,
        "$w": ("$w", "$w", $k),
    }
    ----
        try:
            $v = $f($v, $v[$k:])
        except ($cError, OSError) as error:
            # $x
            logger.warning("$w failed after %d: %s", $k, error)
            return $f($v)
    ----
    def $f($v: Iterable[$c]) -> Iterator[$c]:
        for $v in $v:
            if $v.$v > $k and not $v.$v:
                continue
            yield from $f($v.$v, $v)
    ----
    from $w.$w import $c, $f
    from $w.$w.$w import $c
    ----
        def $f(self) -> list[$c]:
            # $x
            $v = [$f($v) for $v in self.$v if $v.$v]
            $v.sort(key=lambda $v: $v.$v, reverse=True)
            return $v[:$k]
    ----
    @pytest.mark.parametrize(("$v", "$v"), [("$w", $k), ("$w", $k), ("$w $w", $k)])
    def test_$f_$w($v: str, $v: int) -> None:
        with pytest.raises($cError, match="$w"):
            $f($v, $v=$v)
    ----
    $v: Final = $k  # $x
    $v: Final = "$w/$w"
""")

GO = _blocks("""
    func ($v *$c) $f(ctx context.Context, $v string) (*$c, error) {
    \t$v, err := $v.$f(ctx, $v)
    \tif err != nil {
    \t\treturn nil, fmt.Errorf("failed to $w $w: %w", err)
    \t}
    \treturn &$c{$v: $v, $v: $k}, nil
    }
    ----
    // $c $x
    type $c struct {
    \t$v string         `json:"$w_$w"`
    \t$v int            `json:"$w"`
    \t$v map[string]$c  `json:"$w,omitempty"`
    }
    ----
    func Test$c_$f(t *testing.T) {
    \tt.Parallel()

    \t$v := New$c(t.TempDir())
    \tgot, err := $v.$f("$w")
    \tif err != nil {
    \t\tt.Fatalf("$f() error = %v", err)
    \t}
    \tif got.$v != $k {
    \t\tt.Errorf("$v = %v, want $k", got.$v)
    \t}
    }
    ----
    \tfor _, $v := range $v {
    \t\t// $x
    \t\tif $v.$v == "" || len($v.$v) > $k {
    \t\t\tcontinue
    \t\t}
    \t\t$v = append($v, $f($v))
    \t}
    ----
    const (
    \t$v = "$w-$w"
    \t$v = $k * time.Second
    )
    ----
    \tswitch $v.$v {
    \tcase $c$w:
    \t\treturn $v.$f($v)
    \tcase $c$w, $c$w:
    \t\tlog.Printf("$w %s after %d", $v, $k)
    \tdefault:
    \t\treturn fmt.Errorf("unknown $w %q", $v)
    \t}
    ----
    // $f $x
    // $x
    func $f($v []byte) ([]$c, error) {
    \tvar $v []$c
    \tif err := json.Unmarshal($v, &$v); err != nil {
    \t\treturn nil, err
    \t}
    \treturn $v, nil
    }
    ----
    import (
    \t"context"
    \t"example.com/$w/$w/$w"
    \t"example.com/$w/$w"
    )
    ----
    \t$v.mu.Lock()
    \tdefer $v.mu.Unlock()
    \tdelete($v.$v, $v)
    ----
    \ttests := []struct{ name, $v string; want int }{
    \t\t{"$w $w", "$w", $k},
    \t\t{"$w with $w", "$w-$w", $k},
    \t\t{"no $w", "", 0},
    \t}
""")

TYPESCRIPT = _blocks("""
    export async function $f($v: $c, { $v, $v = $k }: $cOptions = {}): Promise<$c> {
      const $v = await $f($v, "$w");
      if (!$v) throw new $cError(`$w ${$v} is not $w`);
      return { ...$v, $v };
    }
    ----
    export interface $c {
      $v: string;
      $v?: number;
      readonly $v: ReadonlyArray<$c>;
    }
    ----
    /** $x */
    export const $f = ($v: $c[]): $c[] =>
      $v.filter(($v) => $v.$v !== $k).map(($v) => ({ ...$v, $v: $f($v) }));
    ----
    describe("$w $w", () => {
      it("$x", async () => {
        const $v = $f({ $v: "$w", $v: $k });
        await expect($v.$f()).resolves.toEqual([$k, $k]);
        expect($v.$v).toBe("$w");
      });
    });
    ----
      useEffect(() => {
        // $x
        const $v = setTimeout(() => $f($v), $k);
        return () => clearTimeout($v);
      }, [$v, $v]);
    ----
          <$c className="$w-$w" onClick={() => $f($v.id)}>
            <span title={$v.$v}>{$v.$v}</span>
            {$v && <$c $v={$k} />}
          </$c>
    ----
    import { $c, $f } from "../$w/$w";
    import type { $c } from "@/$w";
    ----
    router.post("/$w/:$v/$w", async (request, response) => {
      const { $v, $v } = request.body as $c;
      const $v = await $v.$f($v, $v);
      response.status($k).json({ $v, $w: $v.$v });
    });
    ----
    const $v = new Map<string, $c>([
      ["$w", $f],
      ["$w-$w", $f],
    ]);
    ----
      switch (action.type) {
        case "$w/$w":
          return { ...state, $v: action.$v };
        case "$w/$w": // $x
          return { ...state, $v: state.$v + $k };
      }
    ----
    .$w-$w { margin: $kpx auto; transition: opacity $kms ease-in; }
""")

BLOCKS = {"py": PYTHON, "go": GO, "ts": TYPESCRIPT}


def _output(command: str, purpose: str, lines: str, *, slow: bool = False) -> Output:
    return Output(command, purpose, tuple(dedent(lines).strip("\n").splitlines()), slow)


OUTPUTS = (
    _output(
        "git log --oneline -$k",
        "Show recent commits",
        """
        $h Fix $w $w in $f
        $h Merge branch '$u/$w-$w'
        $h $x
        $h Add $w to $c (#$k)
        $h Revert "$w $w"
        """,
    ),
    _output(
        "git diff HEAD~1 -- $m",
        "Show the last change",
        """
        @@ -$k,7 +$k,9 @@ $f
        +    $v = $f($v, $k)
        -    $v = $f($v)
             return $v.$f($c)
        +    // $x
        -    if $v.$v is $w:
        index $h..$h 100644
        --- a/$m
        +++ b/$m
        """,
    ),
    _output(
        "git status --short && git diff --stat",
        "Check the working tree",
        """
         M $m
        ?? $m
         $m | $k +++++++----
         $m | $k ++
        A  $m
        """,
    ),
    _output(
        "ls -la $m | head -$k",
        "List the files",
        """
        -rw-r--r--  1 $u  staff  $k$k Feb $k $t $w_$w.json
        drwxr-xr-x  $k $u  staff  $k Jan $k $t $w-$w
        -rwxr-xr-x  1 $u  staff  $k Mar $k $t $f.sh
        """,
    ),
    _output(
        "make test 2>&1 | tail -$k",
        "Run the tests",
        """
        $m::test_$f PASSED [ $k%]
        $m::test_$f_$w PASSED [ $k%]
        $m::Test$c::test_$f FAILED [ $k%]
        E       AssertionError: assert '$w $w' == '$w $k'
        E       $cError: $w $w is not $w
        $m:$k: in $f
            $v = $f($v, $v)
        >       assert $v.$v == $k
        ok      example.com/$w/$w  $ss
        --- FAIL: Test$c_$f ($ss)
        ======== $k passed, $k failed in $ss ========
        """,
        slow=True,
    ),
    _output(
        "npm run build",
        "Build the project",
        """
        [$t] building $m ($k modules)
        dist/$w-$h.js   $k.$k kB | gzip: $k.$k kB
        warning: $v is declared but never used in $m:$k:$k
        [$t] $w: done in $ss
        [$t] $x
        """,
        slow=True,
    ),
    _output(
        "docker compose logs --tail $k $w-$w",
        "Read the service logs",
        """
        $w-1  | 2026-02-11T$tZ INFO  $w.$w: $w $h took $ss
        $w-1  | 2026-02-11T$tZ WARN  $w.$w: $x
        $w-1  | 2026-02-11T$tZ ERROR $w.$f: $cError($k) for user=$u request=$h$h
        $w-1  | 2026-02-11T$tZ DEBUG $w.$w: {"$v": $k, "$v": "$w", "$w": "$h"}
        """,
        slow=True,
    ),
    _output(
        "curl -s localhost:$k/$w/$w | jq .",
        "Ask the API",
        """
          {"id": "$h$h", "$v": "$w $w", "$v": $k, "owner": "$u"},
          {"id": "$h$h", "$v": null, "$v": [$k, $k], "updated": "$t"},
          "$w": {"$v": true, "$v": "$m", "digest": "$h$h$h"},
        """,
    ),
    _output(
        "rg -n '$f|$c' --type-add 'src:*.{py,go,ts}'",
        "Find the callers",
        """
        $m:$k:    $v = $f($v, $v=$k)
        $m:$k:class $c($c):
        $m:$k:    return $v.$f($v)
        $m:$k:// $x
        $m:$k:import $f from "$w"
        """,
    ),
    _output(
        "python scripts/$f.py --$w $k",
        "Run the script",
        """
        $w $w: $k of $k ($ss)
        $t $x
          $v=$k $v=$w $v='$w $w'
        Traceback (most recent call last):
          File "$m", line $k, in $f
        $cError: $w $w
        """,
        slow=True,
    ),
)

GREP = (
    "$m:$k:    $v = $f($v, $v=$k)",
    "$m:$k:class $c($c):",
    "$m-$k-    return $v.$f($v)",
    "$m:$k:\t\treturn $f($v.$v, $k)",
    "$m-$k-    // $x",
    "$m:$k:  const $v = $f($v);",
    "$m-$k-",
)
