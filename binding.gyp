{
  "comment": "For tools that know node-gyp only. With a prebuild for this platform there is nothing to do; else CMake builds.",
  "variables": {
    "prebuilt%": "<!(node -p \"require('fs').existsSync('prebuilds/' + process.platform + '-' + process.arch) ? 1 : 0\")"
  },
  "targets": [
    {
      "target_name": "inlay",
      "type": "none",
      "conditions": [
        [
          "prebuilt==0",
          {
            "actions": [
              {
                "action_name": "cmake",
                "inputs": ["native/scripts/prepare.mjs"],
                "outputs": ["build/Release/inlay.node"],
                "action": ["node", "native/scripts/prepare.mjs"]
              }
            ]
          }
        ]
      ]
    }
  ]
}
