// Pages work without this file. It makes them more convenient, and never shows what came in a message.
"use strict";

// The host shows times as they are where the browser is, from the next page on.
document.cookie = `offset=${-new Date().getTimezoneOffset()}; path=/; max-age=31536000; samesite=lax`;
