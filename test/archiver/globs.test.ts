import test from 'ava';
import { compileGlob } from '../../src/archiver/globs.ts';

const matches = test.macro({
  exec: (t, glob: string, yes: string[], no: string[]) => {
    const compiled = compileGlob(glob);
    for (const text of yes) t.true(compiled.matches(text), `${glob} matches ${text}`);
    for (const text of no) t.false(compiled.matches(text), `${glob} does not match ${text}`);
  },
  title: (_, glob: string) => `glob ${glob}`,
});

test(matches, '*.tmp', ['a.tmp', '.tmp', 'ä b.tmp', 'a\nb.tmp'], ['a.tmpx', 'd/a.tmp', 'atmp']);
test(matches, 'a?c', ['abc', 'a💾c', 'a.c'], ['ac', 'abbc', 'a/c']);
test(matches, '[a-c]x', ['ax', 'cx'], ['dx', '-x']);
test(matches, '[!a-c]x', ['dx', ']x'], ['ax', '/x']);
test(matches, '*.{jpg,pn?,a*}', ['x.jpg', 'x.png', 'x.abc'], ['x.gif', 'x.jpgx']);
test(matches, 'a/**/z', ['a/z', 'a/b/z', 'a/b/c/z'], ['az', 'a/b/zz', 'b/a/z']);
test(matches, '**/*.o', ['x.o', 'd/x.o', 'd/e/x.o'], ['x.oo']);
test(matches, 'logs/**', ['logs/a', 'logs/a/b'], ['log/a', 'x/logs/a']);
test(matches, '/logs/*', ['logs/a'], ['logs/a/b']);
test(matches, 'a.b+(c)^$|', ['a.b+(c)^$|'], ['axb+(c)^$|']);
test(matches, '\\*[', ['*['], ['x[']);
test(matches, '{a', ['{a'], ['a']);
test(matches, '💾*', ['💾', '💾x'], ['x💾']);

test('only a glob with a slash is about whole paths', (t) => {
  t.false(compileGlob('*.o').wholePath);
  t.true(compileGlob('d/*.o').wholePath);
  t.true(compileGlob('/x').wholePath);
});

test('a set that makes no sense is a usage error', (t) => {
  t.throws(() => compileGlob('[z-a]'), { code: 'USAGE' });
});
