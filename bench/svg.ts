/** A terminal's text with SGR colours (`tmux capture-pane -e`) as an SVG picture. */

const cell = { width: 8.4, height: 17 };
const ink = '#d0d0d0';
const paper = '#161a1f';
/** The six levels of the 6 x 6 x 6 cube of xterm's 256 colours. */
const levels = [0, 95, 135, 175, 215, 255];

interface Look {
  readonly ink: string;
  readonly paper: string | null;
  readonly bold: boolean;
}

const plain: Look = { ink, paper: null, bold: false };

export function svgOf(captured: string, columns: number, rows: number): string {
  const lines = captured.split('\n').slice(0, rows);
  let look = plain;
  const body = lines.flatMap((line, y) => {
    let x = 0;
    return line.split(/(\x1b\[[\d;]*m)/).flatMap((part) => {
      if (part.startsWith('\x1b[')) {
        look = after(look, part.slice(2, -1));
        return [];
      }
      const at = x;
      x += part.length;
      return drawn(part, at, y, look);
    });
  });
  const width = columns * cell.width + 16;
  const height = rows * cell.height + 16;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, monospace" font-size="14">
<rect width="${width}" height="${height}" rx="6" fill="${paper}"/>
${body.join('\n')}
</svg>
`;
}

function drawn(text: string, x: number, y: number, look: Look): string[] {
  const left = 8 + x * cell.width;
  const top = 8 + y * cell.height;
  const width = text.length * cell.width;
  const back = look.paper === null || text === '' ? [] : [`<rect x="${left.toFixed(1)}" y="${top}" width="${width.toFixed(1)}" height="${cell.height}" fill="${look.paper}"/>`];
  if (text.trim() === '') return back;
  const escaped = text.replace(/[&<>]/g, (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[character] ?? '');
  const bold = look.bold ? ' font-weight="bold"' : '';
  return [...back, `<text x="${left.toFixed(1)}" y="${top + 13}" textLength="${width.toFixed(1)}" xml:space="preserve" fill="${look.ink}"${bold}>${escaped}</text>`];
}

/** The look after the parameters of an SGR; of those, the ones that hsm sends with 256 colours. */
function after(look: Look, parameters: string): Look {
  const words = parameters.split(';').map(Number);
  let now = look;
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i];
    if (word === 0) now = plain;
    else if (word === 1) now = { ...now, bold: true };
    else if (word === 39) now = { ...now, ink };
    else if (word === 49) now = { ...now, paper: null };
    else if ((word === 38 || word === 48) && words[i + 1] === 5) {
      const colour = colourOf(words[i + 2] ?? 0);
      now = word === 38 ? { ...now, ink: colour } : { ...now, paper: colour };
      i += 2;
    }
  }
  return now;
}

function colourOf(index: number): string {
  if (index >= 232) return hex(8 + 10 * (index - 232), 8 + 10 * (index - 232), 8 + 10 * (index - 232));
  const cube = index - 16;
  return hex(levels[Math.floor(cube / 36)] ?? 0, levels[Math.floor(cube / 6) % 6] ?? 0, levels[cube % 6] ?? 0);
}

const hex = (...parts: readonly number[]): string => `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
