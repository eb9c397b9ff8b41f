// One decision about money. Hand-written, without dependencies: what stands here is everything that sees a passphrase
// in this window. Sentences and figures come ready from Rust; markup is made node by node, never from text.

const invoke = (command, values) => window.__TAURI_INTERNALS__.invoke(command, values);
const find = (id) => document.getElementById(id);

/** How long the last word stands before the window closes by itself. */
const CLOSES_AFTER_MS = 1500;

let sentences = {};
const say = (key) => sentences[key] ?? key;

function element(name, values = {}, children = []) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(values)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function heading(key) {
  find('head').textContent = say(key);
  find('lead').textContent = say(`${key}.lead`);
  find('failed').textContent = '';
}

function field(id, label, values = {}) {
  const kind = values.rows ? {} : { type: 'password' };
  const input = element(values.rows ? 'textarea' : 'input', {
    id, ...kind, autocomplete: 'off', spellcheck: false, 'data-testid': id, ...values,
  });
  return { input, nodes: [element('label', { htmlFor: id, textContent: label }), input] };
}

function buttons(primary, others = []) {
  return element('div', { className: 'buttons' }, [
    ...others,
    element('button', { type: 'submit', className: 'primary', textContent: primary, 'data-testid': 'vault-do' }),
  ]);
}

function cancelButton() {
  return element('button', { type: 'button', textContent: say('vault-cancel'), onclick: cancel, 'data-testid': 'vault-cancel' });
}

/** Shows a form; `submit` runs once at a time, and a failure stands below in words. */
function form(nodes, first, submit) {
  const old = find('form');
  const fresh = element('form', { id: 'form', autocomplete: 'off', noValidate: true }, nodes);
  fresh.addEventListener('submit', async (event) => {
    event.preventDefault();
    const button = fresh.querySelector('button.primary');
    if (!button || button.disabled) return;
    const label = button.textContent;
    button.disabled = true;
    button.textContent = say('vault-working');
    find('failed').textContent = '';
    try {
      await submit();
    } catch (failure) {
      find('failed').textContent = failure.sentence ?? say('vault-lost.lead');
      first?.focus();
    }
    button.disabled = false;
    button.textContent = label;
  });
  old.replaceWith(fresh);
  (first ?? find('head')).focus();
}

const decide = (decision) => invoke('vault_decide', { decision });

async function cancel() {
  try {
    await decide({ decision: 'cancel' });
  } finally {
    await invoke('vault_close');
  }
}

/** The last word, then the window closes. */
function done(key) {
  heading(key);
  find('foot').textContent = say('vault-stays');
  form([], null, async () => {});
  setTimeout(() => invoke('vault_close'), CLOSES_AFTER_MS);
}

function wordList(words) {
  return element('ol', { 'data-testid': 'words' }, words.trim().split(/\s+/).map((word) => element('li', { textContent: word })));
}

/** Two fields for a new passphrase; `taken` is the passphrase once both agree. */
function newPassphrase() {
  const first = field('passphrase', say('vault-passphrase-new'));
  const again = field('passphrase-again', say('vault-passphrase-again'));
  const taken = () => {
    if (first.input.value !== again.input.value) throw { sentence: say('vault-passphrase-differ') };
    return first.input.value;
  };
  return { first: first.input, again: again.input, nodes: [...first.nodes, ...again.nodes], taken };
}

const VIEWS = {
  withdraw(view) {
    heading('vault-withdraw');
    find('chain').textContent = view.chain;
    const row = (label, figure, className = '') =>
      element('div', { className }, [
        element('dt', { textContent: label }),
        element('dd', { textContent: figure }),
      ]);
    const groups = view.quote.to.replace(/^0x/, '').match(/.{1,4}/g) ?? [];
    const address = element(
      'div',
      { className: 'address', role: 'img', 'aria-label': say('vault-address-label'), 'data-testid': 'address' },
      groups.map((group) => element('span', { textContent: group })),
    );
    const passphrase = field('passphrase', say('vault-passphrase'));
    const nodes = [
      element('dl', {}, [
        row(say('vault-leaves'), say('total')),
        row(say('vault-fee'), `− ${say('fee')}`),
        row(say('vault-arrives'), say('arrives'), 'sum'),
      ]),
      address,
      element('p', { className: 'faint', textContent: say('vault-address') }),
    ];
    if (view.quote.unchecked_address) nodes.push(element('p', { className: 'note', textContent: say('unchecked') }));
    nodes.push(...passphrase.nodes, buttons(say('vault-withdraw-do'), [cancelButton()]));
    form(nodes, passphrase.input, async () => {
      await decide({ decision: 'withdraw', quote: view.quote.id, passphrase: passphrase.input.value });
      passphrase.input.value = '';
      done('vault-withdrawn');
    });
  },

  create(view) {
    heading('vault-create');
    const passphrase = newPassphrase();
    const take = element('button', {
      type: 'button', className: 'small', textContent: say('vault-suggestion-take'), 'data-testid': 'vault-take',
      onclick: () => {
        passphrase.first.value = view.suggestion;
        passphrase.again.value = view.suggestion;
        passphrase.again.focus();
      },
    });
    const count = (words, checked) =>
      element('label', {}, [
        element('input', { type: 'radio', name: 'count', value: words, checked, 'data-testid': `words-${words}` }),
        say(words === 24 ? 'vault-words-24' : 'vault-words-12'),
      ]);
    form(
      [
        ...passphrase.nodes,
        element('p', { className: 'faint above', textContent: say('vault-suggestion') }),
        element('div', { className: 'suggestion' }, [element('span', { textContent: view.suggestion, 'data-testid': 'suggestion' }), take]),
        element('fieldset', { className: 'choice' }, [
          element('legend', { textContent: say('vault-words-count') }), count(12, true), count(24, false),
        ]),
        buttons(say('vault-create-do'), [cancelButton()]),
      ],
      passphrase.first,
      async () => {
        const words = Number(find('form').querySelector('input[name="count"]:checked').value);
        const reply = await decide({ decision: 'create', passphrase: passphrase.taken(), words });
        passphrase.first.value = '';
        passphrase.again.value = '';
        showWords(reply.words, () => invoke('vault_close'));
      },
    );
  },

  restore() {
    heading('vault-restore');
    const words = field('words', say('vault-restore-words'), { rows: 4 });
    const passphrase = newPassphrase();
    form([...words.nodes, ...passphrase.nodes, buttons(say('vault-restore-do'), [cancelButton()])], words.input, async () => {
      const typed = words.input.value.trim().toLowerCase().split(/\s+/).join(' ');
      await decide({ decision: 'restore', words: typed, passphrase: passphrase.taken() });
      words.input.value = '';
      passphrase.first.value = '';
      passphrase.again.value = '';
      done('vault-restored');
    });
  },

  backup(view) {
    heading('vault-backup');
    const passphrase = field('passphrase', say('vault-passphrase'));
    form([...passphrase.nodes, buttons(say('vault-backup-do'), [cancelButton()])], passphrase.input, async () => {
      const reply = await decide({ decision: 'show_words', passphrase: passphrase.input.value });
      passphrase.input.value = '';
      showWords(reply.words, () => quiz(view, reply.words));
    });
  },
};

function showWords(words, next) {
  heading('vault-words');
  form([wordList(words), buttons(say('vault-words-done'))], null, async () => next());
  find('form').querySelector('button').focus();
}

function quiz(view, words) {
  heading('vault-quiz');
  const fields = view.ask.map((_, index) => field(`answer-${index}`, say(`ask-${index}`), { type: 'text' }));
  const back = element('button', {
    type: 'button', textContent: say('vault-quiz-back'), onclick: () => showWords(words, () => quiz(view, words)),
  });
  form([...fields.flatMap(({ nodes }) => nodes), buttons(say('vault-quiz-do'), [back])], fields[0].input, async () => {
    await decide({ decision: 'check_words', answers: fields.map(({ input }) => input.value.trim().toLowerCase()) });
    done('vault-backed-up');
  });
}

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') void cancel();
});

try {
  const scene = await invoke('vault_scene');
  sentences = scene.sentences;
  document.documentElement.lang = scene.language;
  if (scene.appearance !== 'system') document.documentElement.dataset.appearance = scene.appearance;
  document.title = say('vault-title');
  find('title').textContent = say('vault-title');
  find('foot').textContent = say('vault-only-here');
  VIEWS[scene.view.view](scene.view);
} catch (failure) {
  find('failed').textContent = failure.sentence ?? String(failure);
}
