import test from 'ava';
import { fit, fitLine, plainText, widthOf } from '../../src/tui/text.ts';

const texts = ['', 'plain', 'a longer plain text', 'データ一覧.csv', 'e\u0301te\u0301', '👩‍👩‍👧 family', '🇩🇪', 'ไทย ทดสอบ', 'a\u0300\u0301\u0302\u0303\u0304zalgo', 'x\u200by', '\u1112\u1161\u11ab 한', 'น้ำ', 'कि', '\u0301alone', 'ｆｕｌｌ'];

for (const text of texts) {
  test(`${JSON.stringify(text)} takes the cells that it is given, cut at either end`, (t) => {
    for (let width = 0; width <= 24; width += 1) {
      for (const how of [{}, { right: true }, { keepEnd: true }]) {
        const shown = fit(text, width, how);
        t.is(widthOf(shown), width, `${JSON.stringify(shown)} in ${width}`);
      }
    }
  });
}

test('wide characters are never cut in two', (t) => {
  t.is(fit('一二三', 4), '一… ');
  t.is(fit('一二三', 6), '一二三');
  t.is(fit('一二三', 4, { keepEnd: true }), '…三 ');
  t.is(fit('一', 1), '…');
});

test('what terminals disagree about is one stand-in, marks on letters stay', (t) => {
  t.is(fit('👩‍👩‍👧!', 2), '▯!');
  t.is(fit('x\u200by', 3), 'x▯y');
  t.is(fit('\x1b[2J', 4), '▯[2J');
  t.is(fit('e\u0301', 1), 'é');
  t.is(fit('ก\u0e34\u0e48', 1), 'ก\u0e34\u0e48');
  t.is(fit('q\u0300\u0301\u0302\u0303', 1), '▯');
});

test('the end of a path is what is kept', (t) => t.is(fit('/data/projects/run-1', 8, { keepEnd: true }), '…s/run-1'));

test('a line is as wide as the screen, whatever its spans', (t) => {
  for (let width = 0; width < 30; width += 1) {
    const line = fitLine([['title', 'one '], ['plain', ''], ['bad', '一二三'], ['dim', ' rest of it']], width);
    t.is(widthOf(plainText(line)), width);
  }
  t.deepEqual(fitLine([['bar', 'x']], 3), [
    ['bar', 'x'],
    ['bar', '  '],
  ]);
});
