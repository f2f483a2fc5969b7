
// A message in HTML stands in a frame, which is made as high as what is in it.
for (const frame of document.querySelectorAll("iframe.letter")) {
  const fit = () => {
    const body = frame.contentDocument?.body;
    if (!body) return;
    const resize = () => {
      const wide = body.scrollWidth > body.clientWidth ? 20 : 0;
      frame.style.height = `${Math.min(Math.ceil(body.getBoundingClientRect().height) + wide + 2, 30000)}px`;
    };
    new ResizeObserver(resize).observe(body);
    resize();
  };
  frame.addEventListener("load", fit);
  if (frame.contentDocument?.readyState === "complete") fit();
}
