/** The page for people; `script.ts` brings it to life, `style.ts` dresses it. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>inlay: compare texts</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/ui/style.css">
</head>
<body>
<a class="skip" href="#results">Skip to the results</a>
<header>
  <h1>inlay</h1>
  <nav aria-label="Pages"><a href="/docs">API</a> <a href="/metrics">Metrics</a></nav>
</header>
<main>
  <section class="live" aria-label="The server now">
    <dl>
      <div><dt>Requests open</dt><dd id="requests">–</dd></div>
      <div><dt>Texts queued</dt><dd id="queued">–</dd></div>
      <div><dt>Tokens/s</dt><dd id="rate">–</dd></div>
      <div><dt>Texts so far</dt><dd id="texts-total">–</dd></div>
      <div><dt>Memory</dt><dd id="memory">–</dd></div>
    </dl>
    <svg id="history" viewBox="0 0 120 32" preserveAspectRatio="none" role="img" aria-label="Tokens per second over the last two minutes"><polyline points=""></polyline></svg>
  </section>

  <form id="form">
    <label for="texts">Texts</label>
    <textarea id="texts" rows="9" spellcheck="false" required aria-describedby="texts-hint"></textarea>
    <p id="texts-hint" class="hint"><span id="count">0 texts</span></p>
    <div class="row">
      <div><label for="model">Model</label><select id="model" required></select></div>
      <div><label for="separator">Texts are separated by</label>
        <select id="separator"><option value="line">line ends</option><option value="blank">blank lines</option></select></div>
      <div><label for="dimensions">Dimensions</label><input id="dimensions" type="number" min="1" step="1" inputmode="numeric" placeholder="all"></div>
    </div>
    <div id="key-row" hidden><label for="key">API key</label><input id="key" type="password" autocomplete="off"></div>
    <div class="row actions">
      <button id="run" type="submit">Compare</button>
      <button id="stop" type="button" hidden>Stop</button>
      <output id="status" role="status" aria-live="polite"></output>
    </div>
  </form>

  <div id="results" tabindex="-1" hidden>
    <section aria-labelledby="matrix-title">
      <h2 id="matrix-title">Similarity</h2>
      <p class="hint">Cosine of each pair: <span class="scale" aria-hidden="true"></span> <span id="scale-range"></span></p>
      <div class="scroll" tabindex="0" role="group" aria-label="Similarity matrix"><table id="matrix"></table></div>
    </section>
    <section aria-labelledby="map-title">
      <h2 id="map-title">Map</h2>
      <p class="hint">The two directions in which these vectors differ most. <span id="map-share"></span></p>
      <svg id="map" viewBox="0 0 400 300" role="img"></svg>
    </section>
    <section aria-labelledby="list-title">
      <h2 id="list-title">Text by text</h2>
      <div class="scroll" tabindex="0" role="group" aria-label="Figures per text"><table id="list"></table></div>
      <p class="hint" id="summary"></p>
    </section>
  </div>
</main>
<script type="module" src="/ui/app.js"></script>
</body>
</html>
`;
